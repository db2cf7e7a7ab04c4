r"""
recbole_whisperlite.model.refused_words
#######################################
Which words of products are meant by what a request rules out
"""

import io
from collections import Counter

import numpy as np
import torch
import torch.nn as nn
from scipy.sparse import csr_matrix, hstack

from recbole_whisperlite.model.score import Score
from recbole_whisperlite.model.terms import Candidates, SparseRows, count_pairs
from recbole_whisperlite.words import words_of

#: Choices that are read at most, drawn at random, and the most words of either side.
MOST_CHOICES, MOST_WISH_WORDS, MOST_ITEM_WORDS = 20_000, 2_000, 5_000
#: In how many texts of products, and of choices' wishes, a word must be.
_LEAST_TEXTS, _LEAST_WISHES = 3, 2
#: What a log ratio must exceed to count: most are noise.
NOISE = 0.7
# The translation: steps of EM, choices that the prior counts, and the share of words of a
# product that a word of the wish may explain.
_STEPS, _PRIOR, _EXPLAINED = 3, 10.0, 0.7
# Expected and observed choices start from this number.
_SMOOTHING = 5.0
# The share of words of a product that are due to the wish, where choices are expected.
_OF_WISH = 0.9
_BLOCK = 2_000
_SEED = 2020


class RefusedWords(nn.Module):
    r"""RefusedWords knows of each word that is ruled out which words of products it means.

    Shoppers say "nothing clingy", and the catalogue "slim fit". What was chosen in training
    says in two ways that both are the same:

    .. math::
        \text{meant}(w, t) &= \Big[\log\Big(\lambda \frac{p(t|w)}{p(t)} + 1 - \lambda\Big)
            - \delta\Big]_+ \\
        \text{avoided}(w, t) &= \Big[\log \frac{E(w, t) + c}{O(w, t) + c} - \delta\Big]_+

    :math:`p(t|w)` is how often the word w of a *wish* is answered by a product with the
    word t: IBM model 1 (Brown et al., "The Mathematics of Statistical Machine Translation",
    1993), as for retrieval by Berger and Lafferty (1999). :math:`O(w, t)` counts the
    choices of products with t for requests that *rule out* w, and :math:`E(w, t)` how many
    are expected by their wishes. The score of a product is minus the sum over the words
    that the request rules out and those of the product.

    The words and both tables are kept in the state dict: texts that come later are read as
    far as their words are known.

    Args:
        - wishes, refusals(list of str): The parts of each request, by id
        - item_texts(list of str): By id, 0 for padding
        - request(numpy.ndarray): Of each training interaction, 0 without a request, shape:
          [n_interactions]
        - item(numpy.ndarray): Of each training interaction, shape: [n_interactions]
    """

    def __init__(self, wishes, refusals, item_texts, request, item):
        super(RefusedWords, self).__init__()
        self._refusals, self._items = _words(refusals), _words(item_texts)
        asked = np.flatnonzero(request > 0)
        if len(asked) > MOST_CHOICES:
            random = np.random.default_rng(_SEED)
            asked = np.sort(random.choice(asked, MOST_CHOICES, replace=False))
        request, item = request[asked], item[asked]
        wishes = _words(wishes)
        item_words = _frequent(self._items, MOST_ITEM_WORDS, _LEAST_TEXTS)
        wish_words = _frequent(
            (wishes[each] for each in request), MOST_WISH_WORDS, _LEAST_WISHES
        )
        refused = _frequent(self._refusals, MOST_WISH_WORDS, 1)
        refused = [*wish_words, *sorted({*refused} - {*wish_words})]
        chosen = bags(self._items, item_words)[item]
        wished = bags(wishes, wish_words)[request]
        translation, share = _translate(wished, chosen)
        meant = _EXPLAINED * translation / np.maximum(share, 1e-12) + 1 - _EXPLAINED
        meant = csr_matrix(np.maximum(np.log(meant) - NOISE, 0))
        meant.resize(len(refused), len(item_words))
        ruled_out = bags(self._refusals, refused)[request]
        avoided = _avoided(ruled_out, wished, chosen, translation, share)
        self._read_by(refused, item_words, meant, avoided)

    def _read_by(self, refused_words, item_words, meant, avoided):
        r"""Read the current texts by the words and tables of a training."""
        self.refused_words, self.item_words = refused_words, item_words
        self.tables = meant.astype(np.float32), avoided.astype(np.float32)
        refuses = bags(self._refusals, refused_words)
        self.meant, self.avoided = (SparseRows(refuses @ each) for each in self.tables)
        self.bags = SparseRows(bags(self._items, item_words))
        every = torch.arange(len(item_words))
        self.register_buffer("every_word", every, persistent=False)

    def forward(
        self, request: torch.LongTensor, candidates: Candidates
    ) -> tuple[torch.FloatTensor, torch.FloatTensor]:
        r"""Score candidates by what is meant, and by what was avoided.

        Args:
            request (torch.LongTensor): shape: [n]
            candidates (Candidates): The items

        Returns:
            tuple: 0 or less, shape: [n, n_candidates] each
        """
        every = Candidates(self.every_word, len(self.every_word))
        shape = len(request), len(every)
        queries = [
            Score(table(request, every)).dense(shape)
            for table in (self.meant, self.avoided)
        ]
        queries = torch.cat(queries).transpose(0, 1).contiguous()
        scores = self.bags.weighted_sum(candidates.item, queries).transpose(0, 1)
        return tuple(-scores.reshape(2, len(request), len(candidates)))

    def get_extra_state(self) -> torch.Tensor:
        r"""The words and tables, as the bytes of an ``.npz`` file."""
        arrays = {
            "refused_words": np.array(self.refused_words, dtype=str),
            "item_words": np.array(self.item_words, dtype=str),
        }
        for name, table in zip(("meant", "avoided"), self.tables):
            arrays[f"{name}.data"], arrays[f"{name}.indices"] = (
                table.data,
                table.indices,
            )
            arrays[f"{name}.indptr"] = table.indptr
        file = io.BytesIO()
        np.savez(file, **arrays)
        return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)

    def set_extra_state(self, state: torch.Tensor) -> None:
        r"""Read all texts by the words and tables of a checkpoint."""
        device = self.every_word.device
        arrays = np.load(io.BytesIO(state.cpu().numpy().tobytes()), allow_pickle=False)
        refused, item = arrays["refused_words"].tolist(), arrays["item_words"].tolist()
        parts = ("data", "indices", "indptr")
        tables = (
            csr_matrix(
                tuple(arrays[f"{name}.{part}"] for part in parts),
                shape=(len(refused), len(item)),
            )
            for name in ("meant", "avoided")
        )
        self._read_by(refused, item, *tables)
        self.to(device)


def bags(texts: list[list[str]], vocabulary: list[str]) -> csr_matrix:
    r"""Return which known words each text has, float32, shape: [n_texts, n_words]."""
    column = {word: number for number, word in enumerate(vocabulary)}
    found = [
        sorted({column[word] for word in text if word in column}) for text in texts
    ]
    row = np.repeat(np.arange(len(found)), [*map(len, found)])
    columns = np.array([each for text in found for each in text], dtype=np.int64)
    return count_pairs(row, columns, (len(texts), len(vocabulary)))


def _words(texts):
    r"""The words of each text, as those of BM25."""
    return [words_of(text) for text in texts]


def _frequent(texts, most, least):
    r"""The words that are in most texts, in alphabetical order."""
    count = Counter(word for text in texts for word in {*text})
    ranked = sorted(count.items(), key=lambda each: (-each[1], each[0]))
    return sorted(word for word, times in ranked[:most] if times >= least)


def _translate(wishes, chosen):
    r"""How often each word of a wish is answered by each word of products, float32, shape:
    [n_wish_words, n_item_words], and the share of each word of products, [n_item_words].

    An empty word explains what has nothing to do with a wish.
    """
    share = np.asarray(chosen.sum(axis=0)).ravel()
    share = share / max(share.sum(), 1)
    n = wishes.shape[0]
    wishes = hstack([wishes, csr_matrix(np.ones((n, 1), dtype=np.float32))]).tocsr()
    translation = _shares((wishes.T @ chosen).toarray(), share)
    for _ in range(_STEPS):
        times = np.zeros_like(translation)
        for begin in range(0, n, _BLOCK):
            wish, block = wishes[begin : begin + _BLOCK], chosen[begin : begin + _BLOCK]
            total, block = wish @ translation, block.tocoo()
            part = block.data / total[block.row, block.col]
            part = csr_matrix((part, (block.row, block.col)), shape=total.shape)
            times += (wish.T @ part).toarray()
        translation = _shares(translation * times, share)
    return translation[:-1], share


def _shares(times, prior):
    r"""The share of each word of products, for each word of wishes, with a prior."""
    total = times.sum(axis=1, keepdims=True) + _PRIOR
    return ((times + _PRIOR * prior) / total).astype(np.float32)


def _avoided(refusals, wishes, chosen, translation, share):
    r"""The table :math:`\text{avoided}`, shape: [n_refused_words, n_item_words]."""
    refusing = np.flatnonzero(refusals.getnnz(axis=1))
    refusals, wishes, chosen = refusals[refusing], wishes[refusing], chosen[refusing]
    observed = (refusals.T @ chosen).toarray()
    expected = np.zeros_like(observed)
    mean_length = chosen.sum() / max(len(refusing), 1)
    for begin in range(0, len(refusing), _BLOCK):
        wish = wishes[begin : begin + _BLOCK]
        n_words = np.maximum(wish.getnnz(axis=1), 1)[:, None]
        words_of_products = _OF_WISH * (wish @ translation) / n_words
        words_of_products += (1 - _OF_WISH) * share
        chance = np.minimum(mean_length * words_of_products, 1)
        expected += refusals[begin : begin + _BLOCK].T @ chance
    ratio = np.log((expected + _SMOOTHING) / (observed + _SMOOTHING))
    return csr_matrix(np.maximum(ratio - NOISE, 0))
