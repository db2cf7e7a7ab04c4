r"""
ProductSearchModel
################################################
What the models of personalised product search have in common: a request is a bag of words,
an item is an id, and both are read together with the items that the user had before.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.init import xavier_normal_initialization
from recbole.model.layers import TransformerEncoder
from recbole.utils import InputType

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.terms import padded_histories
from recbole_whisperlite.model.untrained import check_requests
from recbole_whisperlite.model.wordbags import Bags, WordBags, words


class ProductSearchModel(GeneralRecommender):
    r"""ProductSearchModel scores items by the dot product of their embeddings with what the
    user is looking for, plus a bias of the item.

    A subclass defines :meth:`intent`, which makes one vector of request and history.

    The loss is binary cross-entropy on RecBole's sampled negatives (``loss_type: NS``, what
    product search calls negative sampling), or the softmax over the catalogue (``CE``).

    Raises:
        UserError: If the dataset has no requests or no histories, or if the loss lacks
            negatives.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config, dataset):
        super(ProductSearchModel, self).__init__(config, dataset)

        # load dataset info
        check_requests(self, dataset)
        if not getattr(dataset, "history_fields", ()):
            raise UserError(f"The dataset of {config['model']} has no histories.")
        self.REQUEST = config["REQUEST_FIELD"]
        self.LABEL = config["LABEL_FIELD"]
        self.HISTORY_BEGIN, self.HISTORY_LENGTH = dataset.history_fields

        # load parameters info
        self.embedding_size = config["embedding_size"]
        self.max_seq_length = config["MAX_ITEM_LIST_LENGTH"]
        self.loss_type = config["loss_type"]
        if self.loss_type == "NS" and self.LABEL not in dataset.field2type:
            raise UserError(
                "loss_type: NS needs negatives, but train_neg_sample_args is None. Set it "
                "to {'distribution': 'uniform', 'sample_num': 5}, or loss_type to CE."
            )

        # define layers; the histories are not in the state dict: they come from the dataset
        self.words = WordBags(
            self._vocabulary_texts(config, dataset),
            dataset.request_texts,
            self.embedding_size,
        )
        self.item_embedding = nn.Embedding(self.n_items, self.embedding_size)
        self.item_bias = nn.Parameter(torch.zeros(self.n_items))
        for name in ("history_items", "history_requests"):
            self.register_buffer(name, getattr(dataset, name), persistent=False)

    def _vocabulary_texts(self, config, dataset):
        r"""The texts whose words have embeddings: by default, the requests of training."""
        texts = dataset.request_texts
        return [texts[text] for text in dataset.inter_feat[self.REQUEST].unique()]

    def _init_weights(self, module):
        # rows of length 1: far smaller ones, and hundreds of steps pass before requests say
        # anything beside the biases
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=self.embedding_size**-0.5)
        elif isinstance(module, nn.Linear):
            xavier_normal_initialization(module)

    def intent(
        self,
        request: torch.LongTensor,
        items: torch.LongTensor,
        requests: torch.LongTensor,
    ) -> torch.FloatTensor:
        r"""What a user who asks ``request`` after a history is looking for.

        Args:
            request (torch.LongTensor): Ids of distinct texts, shape: [n]
            items (torch.LongTensor): The history, oldest first, padded by 0 at the end,
                shape: [n, length]
            requests (torch.LongTensor): The request that each of these items answered, 0 if
                none, shape: [n, length]

        Returns:
            torch.FloatTensor: shape: [n, embedding_size]
        """
        raise NotImplementedError

    def forward(self, interaction: Interaction) -> torch.FloatTensor:
        items, requests = self._history(interaction)
        return self.intent(interaction[self.REQUEST], items, requests)

    def _history(self, interaction):
        r"""The items of the user before the request, and their requests, padded by 0, shape:
        [n, length]"""
        fields = self.HISTORY_BEGIN, self.HISTORY_LENGTH
        values = self.history_items, self.history_requests
        return padded_histories(interaction, fields, self.max_seq_length, *values)

    def _score_pairs(self, interaction):
        r"""Scores of rows of which many share request and history, shape: [n]"""
        fields = (self.REQUEST, self.HISTORY_BEGIN, self.HISTORY_LENGTH)
        keys = torch.stack(
            [interaction[each] for each in fields if each in interaction]
        )
        distinct, index = torch.unique(keys, dim=1, return_inverse=True)
        queries = Interaction(dict(zip(fields, distinct)))
        item = interaction[self.ITEM_ID]
        score = torch.mul(self.forward(queries)[index], self.item_embedding(item))
        return score.sum(dim=1) + self.item_bias[item]

    def _score_catalogue(self, interaction):
        r"""Scores of all items, shape: [n, n_items]"""
        intent = self.forward(interaction)
        return intent @ self.item_embedding.weight.T + self.item_bias

    def n_positives(self, interaction: Interaction) -> int:
        r"""The number of rows that are no sampled negatives."""
        if self.LABEL in interaction:
            return int((interaction[self.LABEL] == 1).sum())
        return len(interaction)

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        if not self.words.is_of_training:
            raise UserError(
                "The words of the data are no longer those that the loaded model has "
                "learned: it can rank with this data, but to learn from it, train anew."
            )
        if self.loss_type == "NS":
            label = interaction[self.LABEL]
            score = self._score_pairs(interaction)
            loss = F.binary_cross_entropy_with_logits(score, label, reduction="sum")
            return loss / label.sum()
        if self.LABEL in interaction:
            interaction = interaction[interaction[self.LABEL] == 1]
        # padding is no item
        score = self._score_catalogue(interaction)[:, 1:]
        return F.cross_entropy(score, interaction[self.ITEM_ID] - 1)

    def predict(self, interaction: Interaction) -> torch.FloatTensor:
        return self._score_pairs(interaction)

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        return self._score_catalogue(interaction).view(-1)


class ItemLanguageModel(nn.Module):
    r"""ItemLanguageModel lets items generate the words of their texts.

    The loss of an item and a word is that of negative sampling: the dot product of their
    embeddings is high, and those with words drawn by count ** 0.75 are low. It gives an
    item that nobody has chosen a place near the requests that use its words.

    Args:
        - texts(list of str): The item texts by id
        - word_bags(WordBags): Whose vocabulary and embeddings are used
        - n_words(int): The number of words that are drawn of each text
        - n_negatives(int): The number of words that are drawn against each

    Shape:
        - item_embedding: (n_items, embedding_size)
        - n: the number of items that are drawn
        - Output: a scalar
    """

    def __init__(self, texts, word_bags, n_words, n_negatives):
        super(ItemLanguageModel, self).__init__()
        self.n_words, self.n_negatives = n_words, n_negatives
        self.bags = Bags(words(texts), word_bags.vocabulary)
        n = len(word_bags.vocabulary)
        share = torch.bincount(self.bags.word, minlength=n).double() ** 0.75
        with_words = torch.where(self.bags.length > 0)[0]
        self.register_buffer("with_words", with_words, persistent=False)
        self.register_buffer("up_to", torch.cumsum(share, dim=0), persistent=False)

    def forward(
        self, item_embedding: torch.FloatTensor, words: nn.Embedding, n: int
    ) -> torch.FloatTensor:
        device = item_embedding.device
        if len(self.with_words) == 0:
            return torch.zeros((), device=device)
        drawn = torch.randint(len(self.with_words), (n,), device=device)
        item = self.with_words[drawn]
        word = self.bags.draw(item, self.n_words)
        other = self.draw_negatives(n * self.n_words * self.n_negatives)
        item_e = F.embedding(item, item_embedding).unsqueeze(2)
        loss = 0
        for each, sign in ((word, 1), (other.view(n, -1), -1)):
            score = torch.matmul(words(each), item_e).squeeze(2)
            loss = loss - F.logsigmoid(sign * score).sum(dim=1).mean()
        return loss / self.n_words

    def draw_negatives(self, n: int) -> torch.LongTensor:
        r"""Draw words by count ** 0.75, shape: [n]"""
        point = torch.rand(n, dtype=torch.double, device=self.up_to.device)
        found = torch.searchsorted(self.up_to, point * self.up_to[-1], right=True)
        return found.clamp(max=len(self.up_to) - 1)


class ItemTextModel(ProductSearchModel):
    r"""ItemTextModel also learns from item texts, by the loss of :class:`ItemLanguageModel`
    with the weight ``text_weight``; and a request is a projection of its words.
    """

    @staticmethod
    def inputs(settings: dict) -> list[str]:
        text = ["item text"] if settings["text_weight"] > 0 else []
        return ["request", *text, "history", "item id"]

    def __init__(self, config, dataset):
        super(ItemTextModel, self).__init__(config, dataset)
        self.text_weight = config["text_weight"]
        self.query_layer = nn.Linear(self.embedding_size, self.embedding_size)
        if self.text_weight > 0:
            self.language_model = ItemLanguageModel(
                dataset.item_texts, self.words, config["n_words"], config["n_negatives"]
            )

    def _vocabulary_texts(self, config, dataset):
        texts = super()._vocabulary_texts(config, dataset)
        # without the language model, words of item texts would not be trained
        return texts + dataset.item_texts if config["text_weight"] > 0 else texts

    def query(self, request: torch.LongTensor) -> torch.FloatTensor:
        r"""Embeddings of requests, shape: [n, embedding_size]"""
        return torch.tanh(self.query_layer(self.words(request)))

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        loss = super().calculate_loss(interaction)
        if self.text_weight > 0:
            text_loss = self.language_model(
                self.item_embedding.weight,
                self.words.embedding,
                self.n_positives(interaction),
            )
            loss = loss + self.text_weight * text_loss
        return loss


def transformer_encoder(config: dict) -> TransformerEncoder:
    r"""Return RecBole's encoder with the settings of a model.

    Raises:
        UserError: If ``n_heads`` does not divide ``embedding_size``.
    """
    _check_heads(config)
    return TransformerEncoder(
        n_layers=config["n_layers"],
        n_heads=config["n_heads"],
        hidden_size=config["embedding_size"],
        inner_size=config["inner_size"],
        hidden_dropout_prob=config["hidden_dropout_prob"],
        attn_dropout_prob=config["attn_dropout_prob"],
        hidden_act=config["hidden_act"],
        layer_norm_eps=config["layer_norm_eps"],
    )


def _check_heads(config):
    size, heads = config["embedding_size"], config["n_heads"]
    if heads < 1 or size % heads:
        raise UserError(
            f"embedding_size is {size} and n_heads is {heads}; n_heads must divide "
            "embedding_size."
        )
