r"""
recbole_whisperlite.model.wordbags
##################################
Texts as bags of words with trained embeddings
"""

import json

import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.bm25 import words


class WordBags(nn.Module):
    r"""WordBags averages the embeddings of the words of a text.

    Words are those of BM25. The vocabulary is that of training and is kept in the state
    dict: a text that comes later is read as far as its words are known, and a text without
    a known word is a vector of zeros.

    Args:
        - vocabulary_texts(list of str): The texts whose words have embeddings
        - texts(list of str): The texts by id, those that are not in training included
        - embedding_size(int): The size of the embeddings

    Shape:
        - text: (n), ids of texts
        - Output: (n, embedding_size)

    Raises:
        UserError: If the vocabulary is empty.
    """

    def __init__(self, vocabulary_texts, texts, embedding_size):
        super(WordBags, self).__init__()
        self.embedding_size = embedding_size
        self.vocabulary = sorted(
            {word for text in words(vocabulary_texts) for word in text}
        )
        if not self.vocabulary:
            raise UserError(
                "The words of requests are embedded, but no request of training contains "
                "a word. Use another dataset, or a model that reads no requests."
            )
        self.is_of_training = True
        self.embedding = nn.Embedding(len(self.vocabulary), embedding_size)
        self._texts = words(texts)
        self._read_texts()

    def _read_texts(self):
        self.bags = Bags(self._texts, self.vocabulary).to(self.embedding.weight.device)

    def forward(self, text: torch.LongTensor) -> torch.FloatTensor:
        word, begin = self.bags.gather(text)
        return F.embedding_bag(word, self.embedding.weight, begin, mode="mean")

    def get_extra_state(self) -> torch.Tensor:
        r"""The vocabulary, as the bytes of a json list."""
        return torch.tensor(
            list(json.dumps(self.vocabulary).encode()), dtype=torch.uint8
        )

    def set_extra_state(self, state: torch.Tensor) -> None:
        r"""Read all texts by the vocabulary of a checkpoint."""
        vocabulary = json.loads(bytes(state.tolist()))
        if vocabulary == self.vocabulary:
            return
        # an optimizer that knows the old embeddings would not train the new ones
        self.is_of_training = False
        self.vocabulary = vocabulary
        device = self.embedding.weight.device
        self.embedding = nn.Embedding(len(vocabulary), self.embedding_size).to(device)
        self._read_texts()


class Bags(nn.Module):
    r"""Bags holds the known words of each text; it has no parameters and no state.

    Args:
        - texts(list of list of str): The words of each text
        - vocabulary(list of str): The words that are known
    """

    def __init__(self, texts, vocabulary):
        super(Bags, self).__init__()
        number = {word: number for number, word in enumerate(vocabulary)}
        known = [[number[word] for word in text if word in number] for text in texts]
        length = torch.tensor([len(text) for text in known])
        word = torch.tensor([word for text in known for word in text], dtype=torch.long)
        self.register_buffer("word", word, persistent=False)
        self.register_buffer("length", length, persistent=False)
        begin = torch.cumsum(length, dim=0) - length
        self.register_buffer("begin", begin, persistent=False)

    def gather(
        self, text: torch.LongTensor
    ) -> tuple[torch.LongTensor, torch.LongTensor]:
        r"""The words of some texts in a row, and where each text begins in it, shape: [n]"""
        length = self.length[text]
        begin = torch.cumsum(length, dim=0) - length
        step = torch.arange(int(length.sum()), device=text.device)
        shift = torch.repeat_interleave(self.begin[text] - begin, length)
        return self.word[step + shift], begin

    def draw(self, text: torch.LongTensor, n_words: int) -> torch.LongTensor:
        r"""Draw words of each text, with repetition.

        Args:
            text (torch.LongTensor): Texts that have words, shape: [n]
            n_words (int): The number of words to draw

        Returns:
            torch.LongTensor: shape: [n, n_words]
        """
        length = self.length[text].unsqueeze(1)
        step = torch.rand(len(text), n_words, device=text.device) * length
        step = torch.minimum(step.long(), length - 1)  # rounding may reach the length
        return self.word[self.begin[text].unsqueeze(1) + step]
