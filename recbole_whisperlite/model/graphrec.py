r"""
GraphRec
################################################
Reference:
    Wenqi Fan et al. "Graph Neural Networks for Social Recommendation." in WWW 2019.
"""

import numpy as np
import torch
import torch.nn as nn

from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.init import xavier_normal_initialization
from recbole.model.layers import MLPLayers
from recbole.model.loss import BPRLoss
from recbole.utils import InputType

from recbole_whisperlite.errors import UserError

# Rows of [users or items, neighbors, embedding] that evaluation holds at once.
_ROWS_PER_STEP = 2048


class GraphRec(GeneralRecommender):
    r"""GraphRec attends over a user's items, the users they trust, and an item's users.

    The paper predicts ratings; here items are ranked, and five things differ:

    - The loss is that of BPR: a chosen item above a sampled one, for the same user.
    - What is trained on is left out of the graph, or else it could be looked up: the chosen
      item of the user's items, for both items of the pair; the user of the chosen item's
      users; and one user, drawn at random, of the sampled item's users, since otherwise
      whoever has one neighbor fewer would be known for a chosen one.
    - A node's own embedding goes beside its aggregated neighbors (eq. 4, 19), as in the
      authors' code. Only with it are a user's friends and an item's users described by the
      same vectors.
    - Each network adds to the sum (eq. 4, 9, 14, 19) or the first (eq. 2, 15) of the vectors
      that it is given, and begins by adding zero. As all vectors so stay in one space, what
      is known of a node at one end can be compared with what is known at the other, before
      anything is learned. The last layer of a network has no ReLU, so that it can subtract.
    - The rating (eq. 20 to 22) adds to the inner product of both sides, likewise: an MLP over
      two concatenated vectors needs far more data to learn an inner product. At the start,
      an item's score is how much the user, their friends and their items are like the item
      and its users; a friend who chose the item is both. BPR is the part of it without
      neighbors.

    As in the paper, ratings are opinions; data without ratings have only one opinion.

    Raises:
        UserError: If the dataset has no trust file, or no negatives are sampled.
    """

    input_type = InputType.PAIRWISE
    inputs = ("user", "trust", "item id")

    def __init__(self, config, dataset):
        super(GraphRec, self).__init__(config, dataset)

        # load dataset info
        if getattr(dataset, "net_feat", None) is None:
            raise UserError(
                f"GraphRec needs to know who trusts whom, but the dataset "
                f"'{dataset.dataset_name}' has no file {dataset.dataset_name}.net. Create "
                "it (columns source_id:token, target_id:token), or use another model."
            )
        if self.NEG_ITEM_ID not in dataset.field2type:
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
        truster = dataset.net_feat[config["SOURCE_ID_FIELD"]].numpy()
        trusted = dataset.net_feat[config["TARGET_ID_FIELD"]].numpy()
        for name, source, target, n, values in (
            ("user_items", user, item, self.n_users, opinion),
            ("item_users", item, user, self.n_items, opinion),
            ("user_friends", truster, trusted, self.n_users, np.ones_like(truster)),
        ):
            graph = neighbors(source, target, values, n, self.max_neighbors, rng)
            self.register_buffer(name, graph[0], persistent=False)
            self.register_buffer(f"{name}_opinion", graph[1], persistent=False)

        # define layers and loss
        size = self.embedding_size
        self.user_embedding = nn.Embedding(self.n_users, size)
        self.item_embedding = nn.Embedding(self.n_items, size)
        self.opinion_embedding = nn.Embedding(int(opinion.max()) + 1, size)
        self.item_opinion = correction(2 * size, size, size)
        self.user_opinion = correction(2 * size, size, size)
        self.over_items, self.over_friends = Attention(size), Attention(size)
        self.over_users = Attention(size)
        self.user_with_items = correction(2 * size, size, size)
        self.friends_layer = correction(size, size, size)
        self.item_with_users = correction(2 * size, size, size)
        self.user_layers = correction(2 * size, size, size)
        self.predict_layers = correction(
            2 * size, size, size, 1, dropout=self.dropout_prob
        )
        self.loss = BPRLoss()
        self._user_e = self._item_e = None

        # parameters initialization
        self.apply(xavier_normal_initialization)
        for layers in self.children():
            if isinstance(layers, MLPLayers):  # a correction: of nothing, at the start
                nn.init.zeros_(layers.mlp_layers[-1].weight)

    def item_space(
        self, user: torch.LongTensor, without: torch.LongTensor | None = None
    ) -> torch.FloatTensor:
        r"""Latent factors of users from their items (eq. 1 to 6).

        Args:
            user (torch.LongTensor): shape: [n]
            without (torch.LongTensor): The item that is left out for each user, shape: [n]

        Returns:
            torch.FloatTensor: shape: [n, embedding_size]
        """
        item, opinion = self.user_items[user], self.user_items_opinion[user]
        mask = item > 0
        if without is not None:
            mask = mask & (item != without.unsqueeze(1))
        x, index = self._with_opinions(
            item, opinion, self.item_embedding, self.item_opinion
        )
        user_e = self.user_embedding(user)
        near = self.over_items(x, index, user_e, mask)
        return near + user_e + self.user_with_items(torch.cat([near, user_e], dim=-1))

    def user_latent(
        self, user: torch.LongTensor, without: torch.LongTensor | None = None
    ) -> torch.FloatTensor:
        r"""User latent factors (eq. 7 to 14), shape: [n, embedding_size]."""
        friend = self.user_friends[user]
        distinct, index = torch.unique(friend, return_inverse=True)
        social = self.over_friends(
            self.item_space(distinct), index, self.user_embedding(user), friend > 0
        )
        social = social + self.friends_layer(social)
        own = self.item_space(user, without)
        return own + social + self.user_layers(torch.cat([own, social], dim=-1))

    def item_latent(
        self, item: torch.LongTensor, without: torch.LongTensor | None = None
    ) -> torch.FloatTensor:
        r"""Item latent factors (eq. 15 to 19), shape: [n, embedding_size]."""
        user, opinion = self.item_users[item], self.item_users_opinion[item]
        mask = user > 0
        if without is not None:
            mask = mask & (user != without.unsqueeze(1))
        x, index = self._with_opinions(
            user, opinion, self.user_embedding, self.user_opinion
        )
        item_e = self.item_embedding(item)
        near = self.over_users(x, index, item_e, mask)
        return near + item_e + self.item_with_users(torch.cat([near, item_e], dim=-1))

    def any_user(self, item: torch.LongTensor) -> torch.LongTensor:
        r"""A user of each item, drawn at random, or 0 if it has none. Shape: [n]"""
        users = self.item_users[item]
        chance = torch.rand(users.shape, device=users.device)
        drawn = chance.masked_fill(users == 0, -1).argmax(dim=1)
        return users.gather(1, drawn.unsqueeze(1)).squeeze(1)

    def _with_opinions(self, neighbor, opinion, embedding, layers):
        """Return each distinct neighbor with its opinion (eq. 2, 15), and who is where."""
        n_opinions = self.opinion_embedding.num_embeddings
        pairs = neighbor * n_opinions + opinion
        distinct, index = torch.unique(pairs, return_inverse=True)
        neighbor_e = embedding(torch.div(distinct, n_opinions, rounding_mode="floor"))
        opinion_e = self.opinion_embedding(distinct % n_opinions)
        with_opinion = layers(torch.cat([neighbor_e, opinion_e], dim=-1))
        return neighbor_e + with_opinion, index

    def rate(
        self, user_e: torch.FloatTensor, item_e: torch.FloatTensor
    ) -> torch.FloatTensor:
        r"""Scores of pairs (eq. 20 to 22), shape: [n]."""
        by_layers = self.predict_layers(torch.cat([user_e, item_e], dim=-1))
        return (user_e * item_e).sum(dim=-1) + by_layers.squeeze(-1)

    def forward(
        self, user: torch.LongTensor, item: torch.LongTensor
    ) -> torch.FloatTensor:
        user_e, item_e = self._latents()
        return self.rate(user_e[user], item_e[item])

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        chosen, sampled = self.rate_pair(
            interaction[self.USER_ID],
            interaction[self.ITEM_ID],
            interaction[self.NEG_ITEM_ID],
        )
        return self.loss(chosen, sampled)

    def rate_pair(
        self,
        user: torch.LongTensor,
        item: torch.LongTensor,
        sampled: torch.LongTensor,
    ) -> tuple[torch.FloatTensor, torch.FloatTensor]:
        r"""Scores of chosen and of sampled items in training, both of shape [n]."""
        # a choice comes once for each item sampled for it; its factors are the same
        choice, whose = torch.unique(user * self.n_items + item, return_inverse=True)
        chosen = choice % self.n_items
        chooser = torch.div(choice, self.n_items, rounding_mode="floor")
        user_e = self.user_latent(chooser, without=chosen)[whose]
        item_e = self.item_latent(
            torch.cat([chosen, sampled]),
            without=torch.cat([chooser, self.any_user(sampled)]),
        )
        n_choices = len(choice)
        item_e = torch.cat([item_e[:n_choices][whose], item_e[n_choices:]])
        return self.rate(user_e.repeat(2, 1), item_e).chunk(2)

    def predict(self, interaction: Interaction) -> torch.FloatTensor:
        return self.forward(interaction[self.USER_ID], interaction[self.ITEM_ID])

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        user_e, item_e = self._latents()
        user_e = user_e[interaction[self.USER_ID]]
        n_items = len(item_e)
        score = [
            self.rate(
                some.repeat_interleave(n_items, dim=0), item_e.repeat(len(some), 1)
            )
            for some in user_e.split(max(1, _ROWS_PER_STEP // n_items))
        ]
        return torch.cat(score)

    def train(self, mode: bool = True) -> "GraphRec":
        self._user_e = self._item_e = None
        return super(GraphRec, self).train(mode)

    @torch.no_grad()
    def _latents(self):
        r"""Latent factors of all users and items, cached until the mode is set again."""
        if self._user_e is None:
            device = self.user_items.device
            users = torch.arange(self.n_users, device=device).split(_ROWS_PER_STEP)
            items = torch.arange(self.n_items, device=device).split(_ROWS_PER_STEP)
            self._user_e = torch.cat([self.user_latent(user) for user in users])
            self._item_e = torch.cat([self.item_latent(item) for item in items])
        return self._user_e, self._item_e


class Attention(nn.Module):
    r"""Attention averages neighbors, weighted by a two-layer network.

    Shape:
        - distinct: (n_distinct, size), embeddings of all that are neighbors of a node
        - index: (n, max_neighbors), int64, the rows of ``distinct`` that a node has
        - node: (n, size), embeddings of the nodes that they are neighbors of
        - mask: (n, max_neighbors), bool, False for padding. If all of a row is False, the
          average is zero.
        - Output: (n, size)
    """

    def __init__(self, size):
        super(Attention, self).__init__()
        # one linear layer over both, in two halves: neighbors are shared, and so is theirs
        self.of_neighbor = nn.Linear(size, size)
        self.of_node = nn.Linear(size, size, bias=False)
        self.weight = nn.Linear(size, 1)

    def forward(
        self,
        distinct: torch.FloatTensor,
        index: torch.LongTensor,
        node: torch.FloatTensor,
        mask: torch.BoolTensor,
    ) -> torch.FloatTensor:
        hidden = self.of_neighbor(distinct)[index] + self.of_node(node).unsqueeze(1)
        weight = self.weight(torch.relu(hidden)).squeeze(-1)
        weight = weight.masked_fill(~mask, -torch.inf)
        weight = torch.softmax(weight, dim=1).nan_to_num()
        return torch.matmul(weight.unsqueeze(1), distinct[index]).squeeze(1)


def correction(*sizes: int, dropout: float = 0.0) -> MLPLayers:
    r"""Layers of these sizes whose output is added to something, so the last is linear."""
    return MLPLayers(list(sizes), dropout, last_activation=False)


def neighbors(
    source: np.ndarray,
    target: np.ndarray,
    value: np.ndarray,
    n: int,
    max_neighbors: int,
    rng: np.random.Generator,
) -> tuple[torch.LongTensor, torch.LongTensor]:
    r"""List the neighbors of each node, padded by 0.

    Args:
        source (numpy.ndarray): The source of each edge, shape: [n_edges]
        target (numpy.ndarray): The target of each edge, shape: [n_edges]
        value (numpy.ndarray): The value of each edge, int, shape: [n_edges]
        n (int): The number of sources
        max_neighbors (int): The most neighbors kept of a source, drawn at random
        rng (numpy.random.Generator): The random generator that draws them

    Returns:
        tuple: torch.LongTensor of targets and of their values, shape: [n, width], where no
        source has more than ``width`` targets and ``width`` is ``max_neighbors`` at most
    """
    drawn = rng.permutation(len(source))
    drawn = drawn[np.argsort(source[drawn], kind="stable")]
    source, target, value = source[drawn], target[drawn], value[drawn]
    position = np.arange(len(source)) - np.searchsorted(source, source)
    kept = position < max_neighbors
    width = int(position[kept].max(initial=0)) + 1
    table = torch.zeros(2, n, width, dtype=torch.long)
    index = torch.from_numpy(source[kept]).long(), torch.from_numpy(position[kept])
    table[0][index] = torch.from_numpy(target[kept]).long()
    table[1][index] = torch.from_numpy(value[kept]).long()
    return table[0], table[1]
