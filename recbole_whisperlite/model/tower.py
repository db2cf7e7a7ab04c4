r"""
recbole_whisperlite.model.tower
###############################
The two towers of WhisperLite, and the frozen vectors that go through them
"""

from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F

# Embeddings that are shorter are nothing but rounding.
_LEAST = 1e-12


def unit(embedding: torch.FloatTensor) -> torch.FloatTensor:
    r"""Scale rows to unit length; a text that no encoder knows has a row of 0, and keeps it.

    The gradient of ``F.normalize`` is 1e12 there, and nothing is to be learned from it.

    Args:
        embedding (torch.FloatTensor): shape: [n, dim]

    Returns:
        torch.FloatTensor: shape: [n, dim]
    """
    length = embedding.norm(dim=1, keepdim=True)
    return embedding / torch.where(length > _LEAST, length, torch.inf)


def mlp(sizes, dropout_prob):
    r"""An MLP with dropout before each layer and ReLU between layers, none after the last.

    It is RecBole's ``MLPLayers`` with ``last_activation=False``, layer by layer, so that
    the towers need torch alone. The name inside is that class's, too: checkpoints hold it.

    Args:
        sizes (list): The sizes of the input and of each layer's output
        dropout_prob (float): The dropout rate before each layer

    Returns:
        torch.nn.Sequential: from [n, sizes[0]] to [n, sizes[-1]]
    """
    layers = []
    for input_size, output_size in zip(sizes[:-1], sizes[1:]):
        layers.append(nn.Dropout(dropout_prob))
        layers.append(nn.Linear(input_size, output_size))
        layers.append(nn.ReLU())
    return nn.Sequential(OrderedDict(mlp_layers=nn.Sequential(*layers[:-1])))


class Tower(nn.Module):
    r"""Tower is an MLP that maps frozen vectors to the space in which WhisperLite compares.

    Args:
        - dim(int): The size of the vectors
        - mlp_size(list): The output size of each layer
        - dropout_prob(float): Dropout before each layer
        - normalize(bool): Whether embeddings get unit length
    """

    def __init__(self, dim, mlp_size, dropout_prob, normalize):
        super(Tower, self).__init__()
        self.mlp_layers = mlp([dim] + mlp_size, dropout_prob)
        self.embedding_size = mlp_size[-1]
        self.normalize = normalize

    def forward(self, vectors):
        r"""Embed vectors.

        Args:
            vectors (torch.FloatTensor): shape: [n, dim]

        Returns:
            torch.FloatTensor: shape: [n, embedding_size]
        """
        embedding = self.mlp_layers(vectors)
        return unit(embedding) if self.normalize else embedding


class EmbeddedTexts(nn.Module):
    r"""EmbeddedTexts holds the texts of one side by id: their frozen vectors and their tower.

    In evaluation (``eval()`` and ``torch.no_grad()``) embeddings are cached, so that each
    text goes through the tower once per evaluation. The cache is dropped when the mode is
    set or the parameters change. The vectors are not in the state dict: they come from the
    dataset.

    Args:
        - vectors(numpy.ndarray): One row per text, shape: [n_texts, dim]
        - mlp_size(list), dropout_prob(float), normalize(bool): See :class:`Tower`
    """

    def __init__(self, vectors, mlp_size, dropout_prob, normalize):
        super(EmbeddedTexts, self).__init__()
        # of a large catalogue they are held once, by the dataset
        vectors = torch.as_tensor(vectors, dtype=torch.float32)
        self.register_buffer("vectors", vectors, persistent=False)
        self.tower = Tower(vectors.shape[1], mlp_size, dropout_prob, normalize)
        # the cache, and the state of the tensors that it was computed from
        self._embedding = self._is_known = self._made_from = None

    def embed(self, text):
        r"""Pass texts through the tower.

        Args:
            text (torch.LongTensor): Ids of texts, shape: [n]

        Returns:
            torch.FloatTensor: shape: [n, embedding_size]
        """
        return self.tower(self.vectors[text])

    def forward(self, text):
        r"""The same as :meth:`embed`, but each distinct text is passed through only once."""
        if self.training or torch.is_grad_enabled():
            distinct, index = torch.unique(text, return_inverse=True)
            return F.embedding(index, self.embed(distinct))
        self._keep(text)
        return self._embedding[text]

    def embed_all(self):
        r"""Embeddings of all texts, shape: [n_texts, embedding_size]. Do not modify them."""
        text = torch.arange(len(self.vectors), device=self.vectors.device)
        if self.training or torch.is_grad_enabled():
            return self.embed(text)
        self._keep(text)
        return self._embedding

    def train(self, mode=True):
        self._made_from = None
        return super(EmbeddedTexts, self).train(mode)

    def _keep(self, text):
        tensors = (self.vectors, *self.parameters())
        made_from = [(tensor.data_ptr(), tensor._version) for tensor in tensors]
        if made_from != self._made_from:
            size = len(self.vectors), self.tower.embedding_size
            self._embedding = self.vectors.new_empty(size)
            self._is_known = torch.zeros_like(self.vectors[:, 0], dtype=torch.bool)
            self._made_from = made_from
        new = text[~self._is_known[text]]
        if len(new) > 0:
            new = torch.unique(new)
            self._embedding[new] = self.embed(new)
            self._is_known[new] = True
