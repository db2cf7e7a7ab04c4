r"""
BM25
################################################
Reference:
    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond." 2009.

Reference code:
    https://github.com/xhluca/bm25s
"""

import numpy as np
import torch
from scipy.sparse import csc_matrix, csr_matrix

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.untrained import UntrainedRequestModel
from recbole_whisperlite.words import words_of


class BM25(UntrainedRequestModel):
    r"""BM25 matches the words of the request with those of the item texts.

    Words are those of the encoder tfidf: lower-cased, single letters included ("V neck").
    Stop words are kept, as they have little weight anyway. The variant is Lucene's.

    How many items contain a word, and how long item texts are on average, are those of the
    catalogue in training: a checkpoint keeps them.
    """

    inputs = ("request", "item text")

    def __init__(self, config, dataset):
        super(BM25, self).__init__(config, dataset)

        # load parameters info
        self.k1 = config["k1"]
        self.b = config["b"]

        # index the catalogue; it is not in the state dict, as the dataset has the texts
        from bm25s import BM25 as Index  # imported on demand: no other model needs it

        self.request_words = words(dataset.request_texts)
        self.index = Index(k1=self.k1, b=self.b)
        self.item_words = item_words = words(dataset.item_texts[1:])
        if not any(item_words):
            raise UserError(
                "BM25 matches the words of requests with those of item texts, but no item "
                "text contains a word. List text columns in item_text_fields."
            )
        self.index.index(item_words, show_progress=False)
        self.statistics = self._statistics()
        self.other_parameter_name = ["statistics"]

    def _statistics(self):
        r"""What the index knows of the catalogue as a whole."""
        containing = np.diff(self.index.scores["indptr"]).tolist()
        known = {
            word: containing[column]
            for word, column in self.index.vocab_dict.items()
            if column < len(containing) and containing[column]
        }
        n_words = sum(map(len, self.item_words))
        return {
            "n_items": len(self.item_words),
            "mean_length": n_words / len(self.item_words),
            "n_items_with": dict(sorted(known.items())),
        }

    def word_scores(self) -> tuple[list[str], csr_matrix, np.ndarray]:
        r"""What each word adds to the score of each item.

        Returns:
            tuple: The words; their scores, float32 [n_words, n_items - 1], without padding;
            and their inverse document frequencies, float32 [n_words]
        """
        scores = self.index.scores
        n_words = len(scores["indptr"]) - 1
        word = {column: each for each, column in self.index.vocab_dict.items()}
        known = [column for column in range(n_words) if column in word]
        matrix = csr_matrix(  # bm25s has the items of each word in a row
            (scores["data"], scores["indices"], scores["indptr"]),
            shape=(n_words, scores["num_docs"]),
        )
        words = [word[column] for column in known]
        return words, matrix[known], self._idf(words).astype(np.float32)

    def _idf(self, words):
        n, n_with = self.statistics["n_items"], self.statistics["n_items_with"]
        n_with = np.array([n_with.get(word, 0) for word in words])
        return np.log(1 + (n - n_with + 0.5) / (n_with + 0.5))

    def load_other_parameter(self, para: dict | None) -> None:
        statistics = (para or {}).get("statistics", self.statistics)
        if statistics != self.statistics:
            self.statistics = statistics
            self._score_anew()

    def _score_anew(self):
        r"""Give the index the scores of the current items by the statistics of training,
        which bm25s takes from the items that it scores."""
        known = self.statistics["n_items_with"]
        column = {word: number for number, word in enumerate(known)}
        for text in self.item_words:
            for word in text:  # one that no item of training contains is the rarest
                column.setdefault(word, len(column))
        row = np.repeat(
            np.arange(len(self.item_words)), list(map(len, self.item_words))
        )
        columns = np.array([column[word] for text in self.item_words for word in text])
        count = csc_matrix(
            (np.ones(len(row)), (row, columns)),
            shape=(len(self.item_words), len(column)),
        )
        count.sum_duplicates()
        length = np.asarray(count.sum(axis=1)).ravel()
        length = length / self.statistics["mean_length"]
        norm = self.k1 * (1 - self.b + self.b * length)
        score = np.repeat(self._idf(column), np.diff(count.indptr))
        score = score * count.data / (count.data + norm[count.indices])
        self.index.vocab_dict = column
        self.index.unique_token_ids_set = set(column.values())
        self.index.scores = {
            "data": score.astype(self.index.dtype),
            "indices": count.indices.astype(self.index.int_dtype),
            "indptr": count.indptr.astype(self.index.int_dtype),
            "num_docs": len(self.item_words),
        }

    def score_catalogue(self, request: torch.LongTensor) -> torch.FloatTensor:
        result = np.zeros((len(request), self.n_items), dtype=np.float32)
        for row, text in zip(result, request.tolist()):
            known = self.index.get_tokens_ids(self.request_words[text])
            if known:
                row[1:] = self.index.get_scores_from_ids(known)
        return torch.from_numpy(result).to(request.device)


def words(texts: list[str]) -> list[list[str]]:
    r"""Return the words of each text, in order."""
    return [words_of(text) for text in texts]
