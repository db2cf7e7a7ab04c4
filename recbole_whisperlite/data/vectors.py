"""The texts and pictures of a request-aware dataset, and their frozen vectors."""

import contextlib
import functools
import time

import numpy as np
import torch

from recbole_whisperlite.data import trained_on
from recbole_whisperlite.data.images import image_vectors
from recbole_whisperlite.data.negation import names_of, split_refusals, unread_language
from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.encoder.options import each_encoder
from recbole_whisperlite.encoder.token_states import token_states
from recbole_whisperlite.errors import UserError


class RequestVectors:
    """The part of :class:`RequestDatasetMixin` that encodes texts and pictures."""

    def _get_field_from_config(self):
        super()._get_field_from_config()
        self._vectors = {}
        self.encode_seconds = {"request": 0.0, "item": 0.0, "image": 0.0}

    @property
    def request_texts(self) -> list[str]:
        return ["", *self.field2id_token[self.request_text_field][1:]]

    @property
    def item_texts(self) -> list[str]:
        if self.item_file is None:
            raise UserError(
                f"{self._file('item')}: this file does not exist, so the items of "
                f"'{self.dataset_name}' have no texts. Create it, with columns "
                f"{self.iid_field}:token and texts such as title:token."
            )
        return ["", *(self._item_text[id_] for id_ in self._item_tokens()[1:])]

    def _item_tokens(self):
        return self.field2id_token[self.iid_field]

    def request_vectors(self) -> np.ndarray:
        """Return the frozen vectors of the distinct request texts.

        Returns:
            numpy.ndarray: float32 ``[num(request_text_field), dim]``; row 0 is zero.
        """
        # The precomputed encoder finds a text by the id of its first request.
        first = np.unique(self._text_of_request, return_index=True)[1]
        ids = self.field2id_token[self.request_field][first]
        return self._encode("request", self.request_texts, ids)

    def wish_and_refusal_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the frozen vectors of what requests ask for and of what they rule out.

        Reviews, which are written after the interaction, rule nothing out. Nor do requests
        with precomputed vectors, which are those of whole requests.

        Returns:
            tuple: Two arrays, float32 ``[num(request_text_field), dim]``; zero where a
            request has no such part.
        """
        if not self.splits_refusals:
            vectors = self.request_vectors()
            return vectors, np.zeros_like(vectors)
        parts = self.wish_and_refusal_texts()
        texts = ["", *sorted(set().union(*parts) - {""})]
        vectors = self._encode("request part", texts, texts)
        row = {text: row for row, text in enumerate(texts)}
        return tuple(vectors[[row[text] for text in part]] for part in parts)

    def wish_and_refusal_texts(self) -> tuple[list[str], list[str]]:
        """Return what the distinct request texts ask for and what they rule out, "" for
        nothing, where :attr:`splits_refusals`."""
        names = self.negated_names
        parts = [split_refusals(text, names) for text in self.request_texts]
        return tuple(map(list, zip(*parts)))

    @functools.cached_property
    def negated_names(self) -> frozenset[str]:
        """frozenset of str: Names of items that look like refusals ("no show socks")."""
        if language := unread_language(self.request_texts[1:]):
            self.logger.warning(
                f"Many requests of '{self.dataset_name}' seem to be in the language "
                f"'{language}'. What a request rules out is read in English, French, "
                "German and Spanish only, so in these it counts as a part of the wish."
            )
        return names_of(self.item_texts)

    @property
    def splits_refusals(self) -> bool:
        """bool: Whether what requests rule out has vectors of its own."""
        encoders = [each["encoder"] for each in each_encoder(self.config)]
        return self.request_kind != "review" and "precomputed" not in encoders

    def has_refusals(self, refusal_vectors: np.ndarray) -> bool:
        """Return whether any request rules something out, as the model was trained.

        For a model from a checkpoint, requests that came later do not count, and those
        that are gone do.

        Args:
            refusal_vectors (numpy.ndarray): From :meth:`wish_and_refusal_vectors`.
        """
        record = trained_on.of(self)
        if record is None or not record.is_loaded or record.request_texts is None:
            return bool(refusal_vectors.any())
        ids = self.field2token_id[self.request_text_field]
        texts = record.request_texts[1:].tolist()
        known = [ids[text] for text in texts if text in ids]
        if refusal_vectors[known].any():
            return True
        parts = {
            split_refusals(text, self.negated_names)[1]
            for text in texts
            if text not in ids
        } - {""}
        if not parts or not self.splits_refusals:
            return False
        return any(self.encoder.encode([part]).any() for part in sorted(parts))

    def item_vectors(self) -> np.ndarray:
        """Return the frozen vectors of the item texts.

        Returns:
            numpy.ndarray: float32 ``[item_num, dim]``; row 0 is zero.
        """
        return self._encode("item", self.item_texts, self._item_tokens())

    def item_image_vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the frozen vectors of the items' pictures.

        Returns:
            tuple: float32 ``[item_num, dim]``, zero where an item has no picture, and
            bool ``[item_num]``, whether it has one.

        Raises:
            UserError: If no item has a picture, if the encoder cannot encode pictures, or
                if one is broken or missing and ``missing_image`` is ``error``.
        """
        if "image" not in self._vectors:
            with self._encoding("image"):
                self._vectors["image"] = image_vectors(
                    self.config, self.item_file, self._item_tokens()
                )
        return self._vectors["image"]

    def request_token_states(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the frozen token states of the distinct request texts, without padding.

        Returns:
            tuple: As from :func:`recbole_whisperlite.encoder.token_states.token_states`.
        """
        return self._token_states("request", self.request_texts)

    def item_token_states(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the frozen token states of the item texts, without padding."""
        return self._token_states("item", self.item_texts)

    def _token_states(self, side, texts):
        with self._encoding(side):
            return token_states(self.encoder.first, texts[1:])

    @contextlib.contextmanager
    def _encoding(self, side):
        """Measure the seconds, free the weights afterwards, and leave the state of torch's
        random numbers unchanged.

        Building an encoder draws random numbers, and reading its vectors from the cache
        does not: this must not affect the model that is built next.
        """
        start = time.time()
        with torch.random.fork_rng(devices=[]):
            yield
        self.encoder.unload()
        self.encode_seconds[side] = time.time() - start

    def _encode(self, side, texts, ids):
        if side not in self._vectors:
            with self._encoding(side):
                vectors = self.encoder.cached(
                    texts[1:], ids=[str(id_) for id_ in ids[1:]], side=side
                )
            self._vectors[side] = np.zeros(
                (len(texts), vectors.shape[1]), dtype=np.float32
            )
            self._vectors[side][1:] = vectors
        return self._vectors[side]

    @functools.cached_property
    def encoder(self) -> FittedEncoder:
        """FittedEncoder: Fitted on the catalogue and the training requests, or restored
        from the checkpoint that the config came from."""
        texts, record = self.request_texts, trained_on.of(self)
        fit_texts = self.item_texts[1:] + [texts[id_] for id_ in self._training_texts]
        if record is not None and record.is_loaded:
            return FittedEncoder(self.config, fit_texts, record.encoder_state)
        encoder = FittedEncoder(self.config, fit_texts)
        if record is not None and record.is_of(self):
            record.fitted = encoder
        return encoder
