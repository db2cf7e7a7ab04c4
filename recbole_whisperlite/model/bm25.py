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

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.untrained import UntrainedRequestModel


class BM25(UntrainedRequestModel):
    r"""BM25 matches the words of the request with those of the item texts.

    Words are those of the encoder tfidf: lower-cased, single letters included ("V neck").
    Stop words are kept, as they have little weight anyway. The variant is Lucene's.
    """

    inputs = ("request", "item text")

    def __init__(self, config, dataset):
        super(BM25, self).__init__(config, dataset)

        # load parameters info
        self.k1 = config["k1"]
        self.b = config["b"]
        if not self.k1 >= 0 or not 0 <= self.b <= 1:
            raise UserError(
                f"k1 is {self.k1} and b is {self.b}; k1 must be 0 or more, and b from 0 "
                "to 1."
            )

        # index the catalogue; it is not in the state dict, as the dataset has the texts
        from bm25s import BM25 as Index  # imported on demand: no other model needs it

        self.request_words = words(dataset.request_texts)
        self.index = Index(k1=self.k1, b=self.b)
        item_words = words(dataset.item_texts[1:])
        if not any(item_words):
            raise UserError(
                "BM25 matches the words of requests with those of item texts, but no item "
                "text contains a word. List text columns in item_text_fields."
            )
        self.index.index(item_words, show_progress=False)

    def score_catalogue(self, request: torch.LongTensor) -> torch.FloatTensor:
        result = np.zeros((len(request), self.n_items), dtype=np.float32)
        for row, text in zip(result, request.tolist()):
            known = self.index.get_tokens_ids(self.request_words[text])
            if known:
                row[1:] = self.index.get_scores_from_ids(known)
        return torch.from_numpy(result).to(request.device)


def words(texts: list[str]) -> list[list[str]]:
    r"""Return the words of each text, in order."""
    from bm25s import tokenize

    return tokenize(
        texts,
        token_pattern=r"(?u)\b\w+\b",
        stopwords=None,
        return_ids=False,
        show_progress=False,
    )
