"""Hand-made datasets for WhisperLite and WhisperLitePlus, and what their tests do."""

import numpy as np
import torch
import yaml
from recbole.data.interaction import Interaction
from recbole.utils import init_seed
from scipy.sparse import csr_matrix
from switches import SWITCHES

from recbole_whisperlite.data.trained_on import Choices
from recbole_whisperlite.model.names import settings_files
from recbole_whisperlite.model.whisperlite import WhisperLite
from recbole_whisperlite.model.whisperliteplus import WhisperLitePlus

DIM = 6
DEFAULTS = {
    model: {
        key: value
        for path in settings_files(model)
        for key, value in yaml.safe_load(path.read_text()).items()
    }
    for model in (WhisperLite, WhisperLitePlus)
}
#: WhisperLitePlus with every part switched off.
PLAIN = dict.fromkeys([*SWITCHES, "use_similar_requests", "mask_user_items"], False)


WISHES = ["shoes", "red shoes", "coat", "warm coat", "dress"]
ITEM_TEXTS = [
    *("red shoes heels", "shoes flat", "shoes heels", "wool coat", "coat"),
    *("red coat wool", "dress flat"),
]


class Config(dict):
    """Like RecBole's: an absent setting is None."""

    def __missing__(self, key):
        return None


class Dataset:
    """Five requests and seven items: what the towers alone read of a dataset."""

    dataset_name = "hand-made"
    field2type = {"user_id": "token", "item_id": "token", "label": "float"}

    def __init__(self, item=(1, 1, 1, 2, 3, 4, 5, 6)):
        rng = np.random.default_rng(0)
        self.vectors = {
            side: np.vstack([np.zeros(DIM), rng.normal(size=(n, DIM))]).astype("f4")
            for side, n in (("request", 5), ("item", 7))
        }
        self.inter_feat = Interaction({"item_id": torch.tensor(item)})

    def num(self, field):
        return {"user_id": 5, "item_id": 8, "request": 6}[field]

    def request_vectors(self):
        return self.vectors["request"]

    def item_vectors(self):
        return self.vectors["item"]

    def training_choices(self):
        item = self.inter_feat["item_id"].numpy()
        rows = (
            self.inter_feat[field].numpy() if field in self.inter_feat else 0 * item
            for field in ("user_id", "item_id", "request")
        )
        sizes = [self.num(field) for field in ("user_id", "item_id", "request")]
        return Choices(*rows, *map(np.arange, sizes), n_items=sizes[1])

    def has_refusals(self, refusal):
        return bool(refusal.any())


# What four users chose, sorted by user and time: user, request, item, the row where the
# history begins and its length, whether it is training. For request 2 u1 chose two;
# u4 is unknown to training.
ROWS = [
    (1, 1, 1, 0, 0, True),
    (1, 2, 2, 0, 1, True),
    (1, 2, 3, 0, 1, True),
    (1, 3, 4, 0, 3, True),
    (1, 4, 5, 0, 4, False),
    (2, 1, 2, 5, 0, True),
    (2, 4, 3, 5, 1, True),
    (2, 5, 1, 5, 2, False),
    (3, 3, 3, 8, 0, True),
    (3, 1, 1, 8, 1, True),
    (3, 5, 6, 8, 2, True),
    (3, 2, 2, 8, 3, False),
    (4, 5, 7, 12, 0, False),
]


def interaction(rows):
    """RecBole's Interaction of (user, request, item, begin, length, ...) rows."""
    fields = ("user_id", "request", "item_id", "history_begin", "history_length")
    columns = list(zip(*rows))[:5]
    found = {f: torch.tensor(c) for f, c in zip(fields, columns)}
    # each user asks for the same only once
    found["request_id"] = request_id(found["user_id"], found["request"])
    return Interaction(found)


def request_id(user, request):
    return 10 * user + request


TRAINING = interaction([row for row in ROWS if row[5]])
EXAM = interaction([row for row in ROWS if not row[5]])


class People(Dataset):
    """The same with users, histories, and refusals in the requests 2 and 4."""

    history_fields = ("history_begin", "history_length")
    request_field = "request_id"

    def __init__(self):
        super().__init__()
        self.inter_feat = TRAINING
        self.history_items = torch.tensor([row[2] for row in ROWS])
        self.refusals = np.zeros((6, DIM), dtype="f4")
        self.refusals[[2, 4]] = np.random.default_rng(1).normal(size=(2, DIM))

    def wish_and_refusal_vectors(self):
        return self.vectors["request"], self.refusals

    def wish_and_refusal_texts(self):
        return ["", *WISHES], ["", "", "heels", "", "wool", ""]

    @property
    def item_texts(self):
        return ["", *ITEM_TEXTS]

    def training_rows(self):
        user, request = np.array([row[:2] for row in ROWS]).T
        in_training = np.array([row[5] for row in ROWS])
        number = np.bincount(user, minlength=5)
        n_training = np.bincount(user[in_training], minlength=5)
        return np.cumsum(number) - number, n_training, request_id(user, request)


def build(dataset, seed=1, model=WhisperLitePlus, **settings):
    init_seed(seed, True)
    config = Config(
        {
            **DEFAULTS[model],
            "embedding_size": 4,
            "mlp_hidden_size": [5],
            "USER_ID_FIELD": "user_id",
            "ITEM_ID_FIELD": "item_id",
            "REQUEST_FIELD": "request",
            "LABEL_FIELD": "label",
            "NEG_PREFIX": "neg_",
            "device": torch.device("cpu"),
            # chance has no part in what is compared
            "new_item_rate": 0.0,
            "history_dropout_prob": 0.0,
            **settings,
        }
    )
    made = model(config, dataset)
    if getattr(made, "use_refused_words", False):
        # so few choices teach nothing
        words = ["heels", "wool"], ["heels", "wool", "coat"]
        meant = csr_matrix([[0.9, 0, 0], [0, 0.5, 0.2]])
        avoided = csr_matrix([[0.3, 0, 0.1], [0, 1.0, 0]])
        made.refused_words._read_by(*words, meant, avoided)
    return made


def train(model, batch, steps=3, lr=0.01):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model.calculate_loss(batch).backward()
        optimizer.step()


def rank(model, requests):
    """Scores of all items, shape [requests, items]."""
    model.eval()
    with torch.no_grad():
        return model.full_sort_predict(requests).view(len(requests), -1)
