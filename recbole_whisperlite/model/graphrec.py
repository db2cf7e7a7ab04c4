r"""
GraphRec
################################################
Reference:
    Wenqi Fan et al. "Graph Neural Networks for Social Recommendation." in WWW 2019.
"""

import numpy as np
import torch
import torch.nn as nn

from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.init import xavier_normal_initialization
from recbole.model.layers import MLPLayers
from recbole.utils import InputType

from recbole_whisperlite.errors import UserError

# Rows of [users or items, neighbors, embedding] held at once where nothing is trained.
_ROWS_A_STEP = 2048


class GraphRec(GeneralRecommender):
    r"""GraphRec attends over a user's items, the users that he trusts, and an item's users.

    Two things differ from the paper, which predicts ratings: the loss is binary cross-entropy
    on sampled negatives, as a ranking needs; and the pair that is being trained is taken out
    of the user's items and the item's users, or the model would only have to look it up.
    Ratings, where the data has them, are opinions as in the paper; else there is one opinion.

    Raises:
        UserError: If the dataset has no trust file, or no negatives are sampled.
    """

    input_type = InputType.POINTWISE
    inputs = ("user", "trust", "item id")

    def __init__(self, config, dataset):
        super(GraphRec, self).__init__(config, dataset)

        # load dataset info
        self.LABEL = config["LABEL_FIELD"]
        if getattr(dataset, "net_feat", None) is None:
            raise UserError(
                f"GraphRec needs to know who trusts whom, but the dataset "
                f"'{dataset.dataset_name}' has no file {dataset.dataset_name}.net. Write it "
                "(columns source_id:token, target_id:token), or use another model."
            )
        if self.LABEL not in dataset.field2type:
            raise UserError(
                "GraphRec learns from negatives, but train_neg_sample_args is None. Set it "
                "to {'distribution': 'uniform', 'sample_num': 1}."
            )

        # load parameters info
        self.embedding_size = config["embedding_size"]
        self.dropout_prob = config["dropout_prob"]
        self.max_neighbors = config["max_neighbors"]

        # define the graphs: padded neighbors, shape: [n, max_neighbors], and opinions
        rng = np.random.default_rng(config["seed"])
        inter = dataset.inter_feat
        user, item = inter[self.USER_ID].numpy(), inter[self.ITEM_ID].numpy()
        opinion = np.ones(len(user), dtype=np.int64)
        if config["RATING_FIELD"] in inter:
            rating = inter[config["RATING_FIELD"]].numpy()
            opinion = np.unique(rating, return_inverse=True)[1] + 1
        trusts = dataset.net_feat[config["SOURCE_ID_FIELD"]].numpy()
        trusted = dataset.net_feat[config["TARGET_ID_FIELD"]].numpy()
        for name, source, target, n, values in (
            ("user_items", user, item, self.n_users, opinion),
            ("item_users", item, user, self.n_items, opinion),
            ("user_friends", trusts, trusted, self.n_users, np.ones_like(trusts)),
        ):
            graph = neighbors(source, target, values, n, self.max_neighbors, rng)
            self.register_buffer(name, graph[0], persistent=False)
            self.register_buffer(f"{name}_opinion", graph[1], persistent=False)

        # define layers and loss
        size = self.embedding_size
        self.user_embedding = nn.Embedding(self.n_users, size)
        self.item_embedding = nn.Embedding(self.n_items, size)
        self.opinion_embedding = nn.Embedding(int(opinion.max()) + 1, size)
        self.item_opinion = MLPLayers([2 * size, size, size])
        self.user_opinion = MLPLayers([2 * size, size, size])
        self.over_items, self.over_friends = Attention(size), Attention(size)
        self.over_users = Attention(size)
        self.user_layers = MLPLayers([2 * size, size, size])
        self.predict_layers = MLPLayers([2 * size, size, size], self.dropout_prob)
        self.predict_score = nn.Linear(size, 1)
        self.loss = nn.BCEWithLogitsLoss()
        self._user_e = self._item_e = None

        # parameters initialization
        self.apply(xavier_normal_initialization)

    def item_space(self, user, without=None):
        r"""What users are by their items (eq. 1 to 6), shape: [n, embedding_size].

        Args:
            user (torch.LongTensor): shape: [n]
            without (torch.LongTensor): An item each that is not looked at, shape: [n]
        """
        item, opinion = self.user_items[user], self.user_items_opinion[user]
        seen = item > 0
        if without is not None:
            seen = seen & (item != without.unsqueeze(1))
        item_e = self.item_embedding(item)
        x = self.item_opinion(
            torch.cat([item_e, self.opinion_embedding(opinion)], dim=-1)
        )
        return self.over_items(x, self.user_embedding(user), seen)

    def user_latent(self, user, without=None):
        r"""User latent factors (eq. 7 to 14), shape: [n, embedding_size]."""
        friend = self.user_friends[user]
        distinct, index = torch.unique(friend, return_inverse=True)
        social = self.over_friends(
            self.item_space(distinct)[index], self.user_embedding(user), friend > 0
        )
        return self.user_layers(
            torch.cat([self.item_space(user, without), social], dim=-1)
        )

    def item_latent(self, item, without=None):
        r"""Item latent factors (eq. 15 to 19), shape: [n, embedding_size]."""
        user, opinion = self.item_users[item], self.item_users_opinion[item]
        seen = user > 0
        if without is not None:
            seen = seen & (user != without.unsqueeze(1))
        user_e = self.user_embedding(user)
        x = self.user_opinion(
            torch.cat([user_e, self.opinion_embedding(opinion)], dim=-1)
        )
        return self.over_users(x, self.item_embedding(item), seen)

    def rate(self, user_e, item_e):
        r"""Scores of pairs (eq. 20 to 22), shape: [n]."""
        return self.predict_score(
            self.predict_layers(torch.cat([user_e, item_e], dim=-1))
        ).squeeze(-1)

    def forward(self, user, item):
        if self.training:
            return self.rate(
                self.user_latent(user, without=item),
                self.item_latent(item, without=user),
            )
        user_e, item_e = self._latents()
        return self.rate(user_e[user], item_e[item])

    def calculate_loss(self, interaction):
        score = self.forward(interaction[self.USER_ID], interaction[self.ITEM_ID])
        return self.loss(score, interaction[self.LABEL])

    def predict(self, interaction):
        return self.forward(interaction[self.USER_ID], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction):
        user_e, item_e = self._latents()
        user_e = user_e[interaction[self.USER_ID]]
        score = [
            self.rate(one.expand(len(item_e), -1), item_e) for one in user_e.split(1)
        ]
        return torch.cat(score)

    def train(self, mode=True):
        self._user_e = self._item_e = None
        return super(GraphRec, self).train(mode)

    @torch.no_grad()
    def _latents(self):
        r"""Latent factors of everybody and everything, kept until the mode is set again."""
        if self._user_e is None:
            device = self.user_items.device
            users = torch.arange(self.n_users, device=device).split(_ROWS_A_STEP)
            items = torch.arange(self.n_items, device=device).split(_ROWS_A_STEP)
            self._user_e = torch.cat([self.user_latent(user) for user in users])
            self._item_e = torch.cat([self.item_latent(item) for item in items])
        return self._user_e, self._item_e


class Attention(nn.Module):
    r"""Attention is the mean of neighbors, weighted by a two-layer network, and a layer.

    Its input is neighbors, shape: [n, max_neighbors, size], whose they are, shape:
    [n, size], and which of them count, shape: [n, max_neighbors]. Without any that counts,
    the mean is zero.
    """

    def __init__(self, size):
        super(Attention, self).__init__()
        self.weight = nn.Sequential(
            nn.Linear(2 * size, size), nn.ReLU(), nn.Linear(size, 1)
        )
        self.layer = nn.Sequential(nn.Linear(size, size), nn.ReLU())

    def forward(self, neighbor, whose, counts):
        whose = whose.unsqueeze(1).expand(-1, neighbor.shape[1], -1)
        weight = self.weight(torch.cat([neighbor, whose], dim=-1)).squeeze(-1)
        weight = weight.masked_fill(~counts, -torch.inf)
        weight = torch.softmax(weight, dim=1).nan_to_num()
        return self.layer(torch.matmul(weight.unsqueeze(1), neighbor).squeeze(1))


def neighbors(source, target, value, n, most, rng):
    r"""Pad the neighbors of every node by 0.

    Args:
        source (numpy.ndarray): Of each edge, shape: [n_edges]
        target (numpy.ndarray): Of each edge, shape: [n_edges]
        value (numpy.ndarray): Of each edge, int, shape: [n_edges]
        n (int): How many sources there are
        most (int): Neighbors kept of each, drawn at random
        rng (numpy.random.Generator): Draws them

    Returns:
        tuple: torch.LongTensor of targets and of their values, shape: [n, most]
    """
    drawn = rng.permutation(len(source))
    drawn = drawn[np.argsort(source[drawn], kind="stable")]
    source, target, value = source[drawn], target[drawn], value[drawn]
    place = np.arange(len(source)) - np.searchsorted(source, source)
    kept = place < most
    table = torch.zeros(2, n, most, dtype=torch.long)
    rows = torch.from_numpy(source[kept]).long(), torch.from_numpy(place[kept])
    table[0][rows] = torch.from_numpy(target[kept]).long()
    table[1][rows] = torch.from_numpy(value[kept]).long()
    return table[0], table[1]
