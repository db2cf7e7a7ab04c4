r"""
recbole_whisperlite.data.whisperlite_dataset
############################################
The dataset of WhisperLite, based on RecBole alone, so that it could be part of RecBole
"""

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureType

from recbole_whisperlite.errors import UserError


class WhisperLiteDataset(Dataset):
    r"""Interactions that answer a request, whose text is a token column of ``.inter``.

    The column is named by ``REQUEST_FIELD``; RecBole's ids of it number the distinct texts.
    The text of an item is that of its token columns in ``.item``. Vectors are those of
    ``preload_weight`` whose value field is ``request_vector``, ``item_vector`` or
    ``image_vector``; texts without them get TF-IDF vectors (``encoder_dim``). Where RecBole
    evaluates per user, the request is that of the user's first interaction in the phase.

    Raises:
        UserError: If ``REQUEST_FIELD`` is not a token column that is loaded.
    """

    #: list of str: Texts that words and components are fitted on; None for those of the
    #: items. A checkpoint keeps those of training.
    fit_texts = None

    def _init_alias(self):
        field = self.config["REQUEST_FIELD"]
        if field in self.token_like_fields:
            self._set_alias("request", [field])  # alias_of_request
        super(WhisperLiteDataset, self)._init_alias()

    def build(self):
        field = self.config["REQUEST_FIELD"]
        if self.field2type.get(field) != FeatureType.TOKEN:
            raise UserError(
                f"REQUEST_FIELD [{field}] must be a token column of .inter that is loaded."
            )
        datasets = super(WhisperLiteDataset, self).build()
        for dataset in datasets[1:]:
            user = dataset.inter_feat[self.uid_field].numpy()
            first = np.unique(user, return_index=True)[1]
            request = np.zeros(self.user_num, dtype=np.int64)
            request[user[first]] = dataset.inter_feat[field].numpy()[first]
            dataset.user_feat = Interaction(
                {self.uid_field: np.arange(self.user_num), field: request}
            )
        return datasets

    @property
    def request_texts(self):
        r"""list of str: Texts by id; the first is padding."""
        return ["", *self.field2id_token[self.config["REQUEST_FIELD"]][1:]]

    @property
    def item_texts(self):
        r"""list of str: Texts by item id; the first is padding."""
        texts = [""] * self.item_num
        for field, values in self.item_feat.interaction.items():
            kind, token = self.field2type[field], self.field2id_token.get(field)
            if field == self.iid_field or token is None:
                continue
            for item, value in enumerate(values.tolist()):
                parts = value if kind == FeatureType.TOKEN_SEQ else [value]
                words = [texts[item], *(token[part] for part in parts if part)]
                texts[item] = " ".join(filter(None, words))
        return texts

    def request_vectors(self):
        r"""Frozen vectors of the distinct request texts, float32, shape: [n_requests, dim]"""
        vectors = self._preloaded("request_vector")
        return self._tfidf(self.request_texts) if vectors is None else vectors

    def item_vectors(self):
        r"""Frozen vectors of the item texts, float32, shape: [n_items, dim]"""
        vectors = self._preloaded("item_vector")
        return self._tfidf(self.item_texts) if vectors is None else vectors

    def item_image_vectors(self):
        r"""Frozen vectors of the items' pictures, float32, shape: [n_items, dim], zero for
        an item without one; and whether an item has one, bool, shape: [n_items]"""
        vectors = self._preloaded("image_vector")
        if vectors is None:
            raise UserError(
                "use_image needs preload_weight with the value field image_vector."
            )
        return vectors, vectors.any(axis=1)

    def _preloaded(self, value_field):
        for id_field, field in (self.config["preload_weight"] or {}).items():
            if field == value_field:
                return self.get_preload_weight(id_field).astype(np.float32)

    def _tfidf(self, texts):
        fit_texts = self.item_texts[1:] if self.fit_texts is None else self.fit_texts
        fitted = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b").fit(fit_texts)
        items = fitted.transform(fit_texts)
        size = min(self.config["encoder_dim"], *items.shape) - 1
        svd = TruncatedSVD(size, random_state=0).fit(items)  # the same for both sides
        vectors = svd.transform(fitted.transform(texts)).astype(np.float32)
        vectors[0] = 0
        return vectors
