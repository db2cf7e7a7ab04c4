r"""
Whisper
################################################
Reference:
    "Contrastive Learning for Interactive Recommendation in Fashion." in SIGIR eCom 2022,
    which compares WhisperLite with it.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.untrained import check_requests

# Texts that go through an LSTM at once.
_TEXTS_PER_STEP = 1024


class Whisper(GeneralRecommender):
    r"""Whisper reads requests and items token by token: the heavy sibling of WhisperLite.

    The token states of a frozen text encoder go through a bi-LSTM for each side; the score
    is the cosine of the two last states. The loss is the cosine embedding loss: 1 - cosine
    for a positive, and max(0, cosine - margin) for a sampled negative.

    Raises:
        UserError: If the dataset has no requests, no negatives are sampled, or the encoder
            gives no token states.
    """

    input_type = InputType.POINTWISE
    inputs = ("request", "item text")

    def __init__(self, config, dataset):
        super(Whisper, self).__init__(config, dataset)

        # load dataset info
        check_requests(self, dataset)
        self.REQUEST = config["REQUEST_FIELD"]
        self.LABEL = config["LABEL_FIELD"]
        if self.LABEL not in dataset.field2type:
            raise UserError(
                "Whisper learns from negatives, but train_neg_sample_args is None. Set it "
                "to {'distribution': 'uniform', 'sample_num': 1}."
            )

        # load parameters info
        self.hidden_size = config["hidden_size"]

        # define layers and loss
        self.request_tower = TokenTower(
            *dataset.request_token_states(), self.hidden_size
        )
        self.item_tower = TokenTower(*dataset.item_token_states(), self.hidden_size)
        self.loss = nn.CosineEmbeddingLoss(margin=config["margin"])

    def forward(
        self, request: torch.LongTensor, item: torch.LongTensor
    ) -> torch.FloatTensor:
        return torch.mul(self.request_tower(request), self.item_tower(item)).sum(dim=1)

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        label = interaction[self.LABEL]
        return self.loss(
            self.request_tower(interaction[self.REQUEST]),
            self.item_tower(interaction[self.ITEM_ID]),
            torch.where(label == 1, 1, -1),
        )

    def predict(self, interaction: Interaction) -> torch.FloatTensor:
        return self.forward(interaction[self.REQUEST], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        request_e = self.request_tower(interaction[self.REQUEST])
        return torch.matmul(request_e, self.item_tower.embed_all().T).view(-1)


class TokenTower(nn.Module):
    r"""TokenTower is a bi-LSTM over the token states of one side.

    The states are not in the state dict: they come from the dataset. In evaluation the
    embeddings of :meth:`embed_all` are cached until the mode is set again.

    Args:
        - states(numpy.ndarray): The token states of all texts in a row, shape:
          [n_tokens, dim]
        - offsets(numpy.ndarray): Where each text begins, shape: [n_texts + 1]
        - hidden_size(int): The size of each direction
    """

    def __init__(self, states, offsets, hidden_size):
        super(TokenTower, self).__init__()
        # id 0 is padding: a text of a single zero state
        states = F.pad(torch.from_numpy(states), (0, 0, 1, 0))
        begin = F.pad(torch.from_numpy(offsets) + 1, (1, 0))
        self.register_buffer("states", states, persistent=False)
        self.register_buffer("begin", begin, persistent=False)
        self.lstm = nn.LSTM(
            states.shape[1], hidden_size, batch_first=True, bidirectional=True
        )
        self._all = None

    def embed(self, text: torch.LongTensor) -> torch.FloatTensor:
        r"""Pass texts through the bi-LSTM.

        Args:
            text (torch.LongTensor): Ids of texts, shape: [n]

        Returns:
            torch.FloatTensor: Rows of length 1, shape: [n, 2 * hidden_size]
        """
        begin, length = self.begin[text], self.begin[text + 1] - self.begin[text]
        step = torch.arange(int(length.max()), device=text.device)
        # packing drops whatever comes after the end of a text
        position = torch.minimum(step, length[:, None] - 1) + begin[:, None]
        packed = nn.utils.rnn.pack_padded_sequence(
            self.states[position].float(),
            length.cpu(),
            batch_first=True,
            enforce_sorted=False,
        )
        _, (last, _) = self.lstm(packed)
        return F.normalize(torch.cat([last[0], last[1]], dim=1), dim=1)

    def forward(self, text: torch.LongTensor) -> torch.FloatTensor:
        r"""The same as :meth:`embed`, but each distinct text is passed through only once."""
        distinct, index = torch.unique(text, return_inverse=True)
        return F.embedding(index, self._in_steps(distinct))

    def embed_all(self) -> torch.FloatTensor:
        r"""Embeddings of all texts, shape: [n_texts, 2 * hidden_size]."""
        if self._all is None or self.training or torch.is_grad_enabled():
            text = torch.arange(len(self.begin) - 1, device=self.begin.device)
            self._all = self._in_steps(text)
        return self._all

    def train(self, mode: bool = True) -> "TokenTower":
        self._all = None
        return super(TokenTower, self).train(mode)

    def _in_steps(self, text):
        return torch.cat([self.embed(part) for part in text.split(_TEXTS_PER_STEP)])
