"""WhisperLite as a retrieval model of RecBole3.0, with our towers, loss and encoders."""

import math
from dataclasses import field, make_dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole3.config import instantiate_dataclass
from recbole3.dataset import ITEM_ID, LABEL, USER_ID, FrameDataset
from recbole3.model.base import (
    BaseCollator,
    BaseModelDataset,
    BaseRetrievalModel,
    ModelConfig,
    ModelDatasets,
)
from torch import nn

from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.loss import WhisperLiteLoss
from recbole_whisperlite.model.tower import EmbeddedTexts
from recbole_whisperlite.recbole3 import settings
from recbole_whisperlite.recbole3.dataset import (
    ITEM_TEXT,
    ITEM_TOKEN,
    REQUEST,
    REQUEST_ID,
)

#: Column of all rows: the number of the row's request text.
REQUEST_TEXT = "request_text"

#: The settings of the model, with the defaults of ``properties/``.
WhisperLiteConfig = make_dataclass(
    "WhisperLiteConfig",
    [
        (name, Any, field(default_factory=lambda value=value: value))
        for name, value in settings.defaults().items()
    ],
    bases=(ModelConfig,),
    namespace={
        "__module__": __name__,
        "__post_init__": lambda self: settings.check(vars(self)),
    },
)


class WhisperLiteData(BaseModelDataset):
    """The rows that have a request, and the frozen vectors of their texts.

    Attributes:
        request_vectors (numpy.ndarray): Of the distinct texts, float32 ``[n_texts, dim]``;
            rows are the numbers in the column :data:`REQUEST_TEXT`.
        item_vectors (numpy.ndarray): float32 ``[n_items, dim]``.

    Raises:
        UserError: If the dataset has no requests or no item texts.
    """

    def _build_model_datasets(self, *, model_config):
        config = vars(instantiate_dataclass(WhisperLiteConfig, model_config))
        parts = [
            self.get_train_dataset(),
            *map(self.get_eval_dataset, ("valid", "test")),
        ]
        frames = [part.frame for part in parts]
        items = self.get_item_table()
        for name, columns in ((REQUEST, frames[0]), (ITEM_TEXT, items)):
            if name not in columns:
                raise UserError(
                    f"whisperlite ranks items for a request, and the dataset "
                    f"'{self.config.name}' has no column '{name}'. Use "
                    "dataset=request_folder with a folder that has requests."
                )
        chosen = frames[0][REQUEST_ID] != ""
        if LABEL in frames[0]:
            label = pd.to_numeric(frames[0][LABEL], errors="coerce")
            chosen &= label.isna() | (label > 0)
        frames[0] = frames[0][chosen]
        asked = pd.concat([frame[[REQUEST, REQUEST_ID]] for frame in frames])
        asked = asked.drop_duplicates(REQUEST).reset_index(drop=True)
        texts = asked[REQUEST].tolist()
        fit_texts = items[ITEM_TEXT].tolist() + frames[0][REQUEST].unique().tolist()
        # Building an encoder draws random numbers, reading its vectors from the cache does
        # not: the model that is built next must not differ by it.
        with torch.random.fork_rng(devices=[]):
            encoder = FittedEncoder(config, fit_texts)
            self.request_vectors = encoder.cached(
                texts, ids=asked[REQUEST_ID].tolist(), side="request"
            )
            self.item_vectors = encoder.cached(
                items[ITEM_TEXT].tolist(), ids=items[ITEM_TOKEN].tolist(), side="item"
            )
        number = dict(zip(texts, range(len(texts))))
        return ModelDatasets(
            *(
                FrameDataset(frame.assign(**{REQUEST_TEXT: frame[REQUEST].map(number)}))
                for frame in frames
            )
        )


class TrainCollator(BaseCollator):
    """A batch: its positives, then for each a negative, drawn uniformly.

    A negative is an item that the user did not choose in training. It is left out of the
    batch if nobody chose it in training: it may be a product that came later.
    """

    def __init__(self, config, prepared_data):
        super().__init__(config, prepared_data)
        frame = prepared_data.get_train_dataset().frame
        self._n_items = prepared_data.get_num_items()
        self._pairs = torch.unique(self._pair(*_columns(frame, USER_ID, ITEM_ID)))
        of_user = torch.bincount(self._pairs // self._n_items)
        self._chose_all = of_user >= self._n_items
        self._is_chosen = torch.zeros(self._n_items, dtype=torch.bool)
        self._is_chosen[self._pairs % self._n_items] = True

    def __call__(self, feature_records):
        user, item, request = _columns(feature_records, USER_ID, ITEM_ID, REQUEST_TEXT)
        negative = self._draw(user)
        used = (negative >= 0) & self._is_chosen[negative]
        label = torch.ones(len(item)), torch.zeros(int(used.sum()))
        return {
            REQUEST_TEXT: torch.cat([request, request[used]]),
            ITEM_ID: torch.cat([item, negative[used]]),
            LABEL: torch.cat(label),
        }

    def _pair(self, user, item):
        return user * self._n_items + item

    def _draw(self, user):
        """Return an item for each user that they did not choose, -1 if there is none."""
        drawn = torch.full_like(user, -1)
        waiting = torch.nonzero(~self._chose_all[user]).flatten()
        while len(waiting) > 0:
            # of torch, as DataLoader seeds it in every process that loads batches
            item = torch.randint(self._n_items, (len(waiting),))
            drawn[waiting] = item
            waiting = waiting[torch.isin(self._pair(user[waiting], item), self._pairs)]
        return drawn


class EvalCollator(BaseCollator):
    """The request texts of the rows."""

    def __call__(self, feature_records):
        return {REQUEST_TEXT: _columns(feature_records, REQUEST_TEXT)[0]}


class WhisperLiteModel(BaseRetrievalModel):
    """Ranks items for a request; see :class:`recbole_whisperlite.model.whisperlite.WhisperLite`.

    The towers are built when the data are known, from the frozen vectors of
    :class:`WhisperLiteData`. They are seeded by ``model.seed``, as RecBole3.0 reads its
    ``runtime.seed`` nowhere.
    """

    def __init__(self, config):
        super().__init__(config)
        self.loss = WhisperLiteLoss(
            config.bce_weight,
            config.contrastive_weight,
            config.contrastive,
            config.mask_false_negatives,
        )
        self.requests = self.items = None

    def ensure_initialized(self, prepared_data):
        if self.items is not None:
            return
        config = self.config
        torch.manual_seed(config.seed)
        tower = (
            [*config.mlp_hidden_size, config.embedding_size],
            config.dropout_prob,
            config.normalize,
        )
        self.requests = EmbeddedTexts(prepared_data.request_vectors, *tower)
        self.items = EmbeddedTexts(prepared_data.item_vectors, *tower)
        self.logit_scale = nn.Parameter(
            torch.tensor(-math.log(config.temperature)),
            requires_grad=config.learn_temperature,
        )
        item = _columns(prepared_data.get_train_dataset().frame, ITEM_ID)[0]
        count = torch.bincount(item, minlength=prepared_data.get_num_items())
        log_q = torch.log(count.clamp(min=1) / len(item))
        self.register_buffer("log_q", log_q, persistent=False)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def build_train_collator(self, prepared_data):
        self.ensure_initialized(prepared_data)
        return TrainCollator(self.config, prepared_data)

    def build_eval_collator(self, prepared_data):
        self.ensure_initialized(prepared_data)
        return EvalCollator(self.config, prepared_data)

    def forward(self, batch):
        # a temperature below 0.01 makes training unstable (as in CLIP)
        self.logit_scale.data.clamp_(max=math.log(100))
        # each distinct text goes through its tower once
        request, request_index = torch.unique(batch[REQUEST_TEXT], return_inverse=True)
        item, item_index = torch.unique(batch[ITEM_ID], return_inverse=True)
        return {
            "request_e": self.requests.embed(request),
            "item_e": self.items.embed(item),
            "request_index": request_index,
            "item_index": item_index,
            "scale": self.logit_scale.exp(),
            "log_q": self.log_q[item] if self.config.popularity_correction else None,
        }

    def compute_loss(self, batch, outputs):
        return self.loss(label=batch[LABEL], **outputs)

    def predict(
        self,
        model_inputs,
        *,
        k,
        candidate_item_ids=None,
        exclude_item_ids=None,
        exclude_mask=None,
    ):
        request_e = self.requests(model_inputs[REQUEST_TEXT])
        score = torch.matmul(request_e, self.items.embed_all().transpose(0, 1))
        if candidate_item_ids is not None:
            candidate_item_ids = candidate_item_ids.to(score.device)
            best = score.gather(1, candidate_item_ids).topk(k, dim=1).indices
            return candidate_item_ids.gather(1, best)
        if k > score.shape[1]:
            raise UserError(
                f"trainer.eval.metrics has k = {k}, and the catalogue has "
                f"{score.shape[1]} items; set every k to at most that."
            )
        if exclude_item_ids is not None and exclude_item_ids.numel() > 0:
            row = torch.arange(len(score), device=score.device)[:, None]
            row = row.expand_as(exclude_item_ids)[exclude_mask]
            score = score.index_put(
                (row, exclude_item_ids[exclude_mask]), score.new_tensor(-torch.inf)
            )
        return score.topk(k, dim=1).indices


def _columns(frame, *names):
    """Columns of whole numbers as tensors, long ``[n]`` each."""
    return [torch.tensor(frame[name].to_numpy(np.int64)) for name in names]
