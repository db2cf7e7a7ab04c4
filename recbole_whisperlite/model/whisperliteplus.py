r"""
WhisperLitePlus
################################################
WhisperLite with what a shop knows besides the texts: interactions with the same request,
the history of the user, and what a request rules out.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole.data.interaction import Interaction

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.item_products import ItemProducts
from recbole_whisperlite.model.kept import MOST_KEPT, KeptRows, state_of
from recbole_whisperlite.model.loss import SampledSoftmaxLoss
from recbole_whisperlite.model.nearest import NearestItem
from recbole_whisperlite.model.refused_words import RefusedWords
from recbole_whisperlite.model.score import Product, Score, Sparse
from recbole_whisperlite.model.similar_requests import SimilarRequests
from recbole_whisperlite.model.similarity import LearnedSimilarity
from recbole_whisperlite.model.terms import (
    Candidates,
    LikeHistory,
    Neighbors,
    Popularity,
    Prior,
    RequestMemory,
    SparseRows,
    Transitions,
    count_pairs,
    padded_histories,
    shared_users,
)
from recbole_whisperlite.model.tower import unit
from recbole_whisperlite.model.whisperlite import WhisperLite

#: A pair of a request and an item that is compared alone takes as long as this many that are
#: compared by a product of matrices.
AS_A_MATRIX = 32
#: The factor of the towers' cosines before the softmax over the history.
ATTENTION_SCALE = 10.0
#: The terms of the score in their order, and the weights with which training begins.
WEIGHTS = {
    "memory": 1.0,
    "similar_requests": 0.2,
    "towers": 0.0,
    "zero_shot": 0.0,
    "popularity": 0.0,
    "unchosen": 0.0,
    "seldom": 0.0,
    "refusals": 0.5,
    "meant": 0.03,
    "avoided": 0.6,
    "neighbors": 0.5,
    "transitions": 0.5,
    "history": 2.0,
    "nearest": 2.0,
    "similarity": 1.0,
}
#: Terms of counts, which may only raise a score: what never happened is no reason against.
NEVER_NEGATIVE = (
    "memory",
    "refusals",
    "meant",
    "avoided",
    "similar_requests",
    "neighbors",
    "transitions",
    "nearest",
)
#: Terms of what requests rule out, of which ranking takes more than the choices say: what
#: was chosen in spite of a refusal is not what its author wanted to see.
OF_WORDS = ("meant", "avoided")
#: By how much ranking multiplies the weights of words, which are fitted on choices; and how
#: much the words of a refusal may take off a product, since none says it for sure.
WORDS_FACTOR, MOST_BY_WORDS = 50.0, 8.0
#: Terms that have other weights for users without a history, for whom nothing else says what
#: they choose.
OF_REQUEST = (
    "memory",
    "similar_requests",
    "towers",
    "zero_shot",
    "popularity",
    "unchosen",
    "seldom",
)
#: Terms whose weight depends on how often an item was chosen: what is known of items that
#: few chose is mostly what they are like, and of others who chose them.
BY_FREQUENCY = ("neighbors", "transitions", "history", "nearest", "similarity")


class Batch(NamedTuple):
    r"""A batch of WhisperLitePlus with all that is drawn at random for it.

    Attributes:
        interaction (Interaction): n rows
        label (torch.FloatTensor): shape: [n]
        candidates (Candidates): The items of its softmax
        log_inclusion (torch.FloatTensor): As for :class:`SampledSoftmaxLoss`, shape:
            [n_candidates]
        made_new (torch.BoolTensor): The candidates that are treated as new, shape:
            [n_candidates], or None for none
        rest (tuple): The other training items of each row's user, by how many rows lie
            between each and the request, and those that dropout leaves to the similarity,
            torch.LongTensor, shape: [n, length] each; empty without histories
    """

    interaction: Interaction
    label: torch.FloatTensor
    candidates: Candidates
    log_inclusion: torch.FloatTensor
    made_new: torch.BoolTensor | None
    rest: tuple[torch.LongTensor, ...]


class WhisperLitePlus(WhisperLite):
    r"""WhisperLitePlus adds to WhisperLite what a shop knows; each part has its own switch.

    - ``use_memory``: how often an item occurs in training with the same request text; the
      scores of the towers and the popularity of items are the prior.
    - ``use_similar_requests``: how often an item was chosen for requests in other words,
      with the same prior; a part of the memory.
    - ``use_neighbors``: how many users an item shares with the items of the history.
    - ``use_transitions``: how often an item followed the latest one of the history.
    - ``use_history``: how similar an item is to those items of the history that fit the
      request, and to the one that it is most like. With it, or with ``use_similarity``, the
      frozen vectors of texts are also compared with that of the request.
    - ``use_similarity``: a similarity of histories and items that is learned.
    - ``use_refusals``: what a request rules out ("no heels") has a vector of its own, whose
      score is subtracted, and so is that of the words of products that are meant by it.

    The score is a sum of terms with weights. In training, towers, similarity and weights
    learn by a softmax over the catalogue or a sample of it, with the target interaction
    left out of all counts, and some candidates made new, as if nobody had chosen them.
    Then the trainer fits the weights on the validation queries, those of what belongs to
    the request once more for users without a history. ``mask_user_items`` keeps
    the other items of the user out of the negatives. With all of it switched off, the
    scores are those of WhisperLite.

    Raises:
        UserError: As WhisperLite, if the dataset has no histories, or if ``contrastive``
            is ``cosine``, which compares only texts.
    """

    @staticmethod
    def inputs(settings: dict) -> list[str]:
        of_pairs = settings["use_neighbors"] or settings["use_transitions"]
        of_pairs = of_pairs or settings["use_similarity"]
        inputs = {
            "history": of_pairs or settings["use_history"],
            "item id": of_pairs or settings["use_memory"],
        }
        return WhisperLite.inputs(settings) + [name for name in inputs if inputs[name]]

    def __init__(self, config, dataset):
        super(WhisperLitePlus, self).__init__(config, dataset)

        # load parameters info
        self.use_memory = config["use_memory"]
        self.use_similar_requests = self.use_memory and config["use_similar_requests"]
        self.use_neighbors = config["use_neighbors"]
        self.use_transitions = config["use_transitions"]
        self.use_history = config["use_history"]
        self.use_similarity = config["use_similarity"]
        self.refusal_strength = config["refusal_strength"]
        self.mask_user_items = config["mask_user_items"]
        self.max_seq_length = config["MAX_ITEM_LIST_LENGTH"]
        self.n_candidates = config["n_candidates"]
        self.new_item_rate = config["new_item_rate"]
        self.offset_decay = config["offset_decay"]
        self.reads_history = (
            self.use_neighbors
            or self.use_transitions
            or self.use_history
            or self.use_similarity
        )
        if self.loss.compares_by_cosine:
            raise UserError(
                "contrastive: cosine compares only texts, and WhisperLitePlus more than "
                "texts: set contrastive to infonce, or train WhisperLite."
            )
        if self.reads_history and not dataset.history_fields:
            raise UserError(
                f"The dataset of {config['model']} has no histories: set use_neighbors, "
                "use_transitions, use_history and use_similarity to False."
            )

        # whether texts say what a product is
        self.use_refused_words = self.use_refusals and self.use_text

        # frozen vectors of request and item are comparable only if both are of texts
        of_vectors = self.use_history or self.use_similarity
        self.use_zero_shot = of_vectors and self.use_text and not self.use_image

        # of the whole catalogue, in evaluation
        self._request_logits, self._item_products = KeptRows(), ItemProducts()

        # define layers and loss
        self.softmax = SampledSoftmaxLoss()
        choices = dataset.training_choices()
        user, item, request = choices.current()
        known_items = choices.known_items
        self.popularity = Popularity(item, self.n_items, known_items)
        trained = self._training_positives(dataset)[self.ITEM_ID]
        share = torch.bincount(trained, minlength=self.n_items) / max(len(trained), 1)
        self.register_buffer("trained_share", share, persistent=False)
        if self.mask_user_items:
            shape = max(self.n_users, user.max(initial=0) + 1), self.n_items
            self.user_items = SparseRows(count_pairs(user, item, shape))
        if self.reads_history:
            self.HISTORY_BEGIN, self.HISTORY_LENGTH = dataset.history_fields
            history_items = dataset.history_items
            self.register_buffer("history_items", history_items, persistent=False)
            rows = map(torch.from_numpy, dataset.training_rows())
            for name, values in zip(("rows_begin", "n_rows", "row_request"), rows):
                self.register_buffer(name, values, persistent=False)
            self.REQUEST_ID = dataset.request_field
        if self.use_memory:
            self.memory = RequestMemory(
                request, item, dataset.num(self.REQUEST), self.n_items
            )
        if self.use_similar_requests:
            self.similar_requests = SimilarRequests(
                self.requests.vectors[: dataset.num(self.REQUEST)],
                request,
                item,
                self.n_items,
                config["neighbor_num"],
            )
        if self.use_refused_words:
            self.refused_words = RefusedWords(
                *dataset.wish_and_refusal_texts(), dataset.item_texts, request, item
            )
        if self.use_neighbors:
            self.neighbors = Neighbors(
                choices.user,
                choices.item,
                len(choices.user_now),
                len(choices.item_now),
                config["neighbor_num"],
                None if known_items is None else choices.item_now,
                self.n_items,
            )
        if self.use_transitions:
            previous, then = choices.current_steps()
            self.transitions = Transitions(previous, then, item, self.n_items)
        if self.use_history or self.use_similarity:
            self.like_history = LikeHistory(self.items.vectors, known_items)
        if self.use_history:
            self.nearest = NearestItem(
                self.like_history.vectors, config["neighbor_num"], known_items
            )
        if self.use_similarity:
            self.similarity = LearnedSimilarity(
                self.like_history.vectors,
                config["similarity_size"],
                config["history_dropout_prob"],
                shared_users(
                    choices.user,
                    choices.item,
                    len(choices.user_now),
                    len(choices.item_now),
                    config["neighbor_num"],
                ),
                choices.item_then,
                len(choices.item_now),
            )
            self.similarity.reset_parameters()
        used = {
            "memory": self.use_memory,
            "similar_requests": self.use_similar_requests,
            "towers": True,
            "zero_shot": self.use_zero_shot,
            "popularity": self.use_memory,
            "unchosen": self.use_memory,
            "seldom": self.use_memory,
            "refusals": self.use_refusals,
            "meant": self.use_refused_words,
            "avoided": self.use_refused_words,
            "neighbors": self.use_neighbors,
            "transitions": self.use_transitions,
            "history": self.use_history,
            "nearest": self.use_history,
            "similarity": self.use_similarity,
        }
        self.term_names = [name for name in WEIGHTS if used[name]]
        weight = torch.tensor([WEIGHTS[name] for name in self.term_names])
        if not self.use_memory:
            weight[self.term_names.index("towers")] = 1.0
        self.term_weight = nn.Parameter(weight)
        # NaN until the trainer has fitted them on the validation queries: the weights for
        # an item that nobody chose, those for the one that was chosen most often, and those
        # for users without a history
        fitted = weight.expand(3, -1) * torch.nan
        self.register_buffer("fitted_weight", fitted.clone())

    def train(self, mode=True):
        self._request_logits.forget()
        return super(WhisperLitePlus, self).train(mode)

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        r"""Return the parameters with their learning rates, for an optimizer.

        Single numbers take larger steps than matrices; weight decay holds back what is
        learned of single items, of which most are rarely chosen.
        """
        offsets = self.similarity.offsets() if self.use_similarity else []
        numbers = [self.term_weight, self.popularity.new_log_factor]
        special = {id(each) for each in (*offsets, *numbers)}
        others = [each for each in self.parameters() if id(each) not in special]
        return [
            {"params": others},
            {"params": numbers, "lr": 10 * learning_rate},
            {"params": offsets, "weight_decay": self.offset_decay},
        ]

    @property
    def weights(self) -> dict[str, torch.FloatTensor]:
        r"""dict: The weight of each term, those fitted on validation if there are any; one
        for each item, shape: [n_items], if it depends on how often it was chosen."""
        fitted = not self.training and not self.fitted_weight.isnan().any()
        weight = self.fitted_weight[0] if fitted else self.term_weight
        weights = dict(zip(self.term_names, weight.unbind()))
        if fitted:
            of_frequent = dict(zip(self.term_names, self.fitted_weight[1].unbind()))
            for name in BY_FREQUENCY:
                if name in weights:
                    weights[name] = torch.lerp(
                        weights[name], of_frequent[name], self.popularity.frequency
                    )
        if not fitted and self.use_similarity:
            # in training its level is that of its parameters, which weight decay holds back
            weights["similarity"] = weights["similarity"].detach()
        if not fitted and not self.training and self.use_memory:
            # training sees such items as negatives only, which says nothing of what follows
            weights["unchosen"] = torch.zeros_like(weights["unchosen"])
        return weights

    def _gain_without_history(self):
        r"""By how much the weights of terms are larger for users without a history."""
        if not self.reads_history or self.fitted_weight.isnan().any():
            return {}
        gain = self.fitted_weight[2] - self.fitted_weight[0]
        gain = dict(zip(self.term_names, gain.unbind()))
        return {name: gain[name] for name in OF_REQUEST if name in gain}

    def _request_vectors(self, config, dataset):
        r"""Vectors of requests, shape: [n_requests, dim]; if any rules something out, followed
        by the vectors of what they rule out, shape: [2 * n_requests, dim]"""
        self.use_refusals = config["use_refusals"]
        if not self.use_refusals:
            return super(WhisperLitePlus, self)._request_vectors(config, dataset)
        wish, refusal = dataset.wish_and_refusal_vectors()
        self.register_buffer(
            "refuses",
            torch.tensor(refusal.any(axis=1, keepdims=True)),
            persistent=False,
        )
        self.use_refusals = dataset.has_refusals(refusal)
        if not self.use_refusals:
            return wish
        return np.concatenate([wish, refusal])

    def _refusal_e(self, request):
        r"""Embeddings of what requests rule out, shape: [n, embedding_size]; 0 where they rule
        out nothing.

        What a refusal shares with the wish is left out: "trainers, no heels" is about shoes
        (negation by the orthogonal part: Widdows, "Orthogonal Negation in Vector Spaces for
        Modelling Word-Meanings and Document Retrieval", ACL 2003).
        """
        refuses = self.refuses[request]
        refusal = self.requests(request + len(self.refuses))
        wish = unit(self.requests(request))
        shared = torch.sum(refusal * wish, dim=1, keepdim=True).clamp(min=0)
        return (refusal - shared * wish) * refuses

    def _history(self, interaction):
        r"""The items of the user before the request, padded by 0, shape: [n, length]."""
        fields = self.HISTORY_BEGIN, self.HISTORY_LENGTH
        (history,) = padded_histories(
            interaction, fields, self.max_seq_length, self.history_items
        )
        return history

    def _rest(self, interaction):
        r"""In training: the other training items of the user, as :meth:`_history`, and how
        many rows lie between each and the request, shape: [n, length].

        What goes together does so in either order, and twice as much is learned from it.
        Items of the same request are left out, as they are where a request is ranked.
        """
        user = interaction[self.USER_ID]
        begin, length = self.rows_begin[user], self.n_rows[user]
        # a window around the request, of the length of a history
        row = interaction[self.HISTORY_BEGIN] + interaction[self.HISTORY_LENGTH]
        longest = min(max([1, *length.tolist()]), self.max_seq_length)
        last = begin + (length - longest).clamp(min=0)
        start = torch.minimum((row - longest // 2).clamp(min=0), last)
        start = torch.maximum(start, begin)
        index = start.unsqueeze(1) + torch.arange(longest, device=row.device)
        missing = index >= (begin + length).unsqueeze(1)
        index = index.clamp(max=len(self.history_items) - 1)
        items, request = self.history_items[index], self.row_request[index]
        own = interaction[self.REQUEST_ID].unsqueeze(1)
        missing |= (request == own) & (request > 0)
        missing |= items == interaction[self.ITEM_ID].unsqueeze(1)
        distance = (index - row.unsqueeze(1)).abs() - 1
        return items.masked_fill(missing, 0), distance

    def _rest_and_thinned(self, interaction):
        r"""The same, and those of the items that dropout leaves to the similarity."""
        items, distance = self._rest(interaction)
        thinned = self.similarity.thinned(items) if self.use_similarity else items
        return items, distance, thinned

    def _embed_of(self, candidates, history):
        r"""In training: a function from ids of candidates, and of items of histories, to their
        embeddings, each of which goes through the tower once."""
        item = torch.unique(torch.cat([candidates.item, history[history > 0]]))
        place = torch.empty_like(candidates.position)
        place[item] = torch.arange(len(item), device=item.device)
        embedding = self.items.embed(item)
        return lambda item: F.embedding(place[item], embedding)

    def _attention(self, request, history, embed):
        r"""Logits of the attention of requests over their histories, shape: [n, length]; 0
        where a history has no item."""
        request, request_index = torch.unique(request, return_inverse=True)
        present = history > 0  # padding takes as long as items
        item, item_index = torch.unique(history[present], return_inverse=True)
        request_e, item_e = unit(self.requests(request)), unit(embed(item))
        row = request_index.unsqueeze(1).expand_as(history)[present]
        if len(request) * len(item) < AS_A_MATRIX * len(row):
            cosine = torch.matmul(request_e, item_e.transpose(0, 1)).view(-1, 1)
            found = F.embedding(row * len(item) + item_index, cosine).squeeze(1)
        else:
            found = F.embedding(row, request_e) * F.embedding(item_index, item_e)
            found = found.sum(dim=1)
        attention = found.new_zeros(history.shape).masked_scatter(present, found)
        return ATTENTION_SCALE * attention

    def request_terms(
        self,
        request: torch.LongTensor,
        candidates: Candidates,
        prior: Prior | None = None,
    ) -> Iterator[tuple[str, Score]]:
        r"""Yield the terms that do not depend on the user: name, and score of shape
        [n, n_candidates].

        The choices of a batch of training are counted like all others, see
        :meth:`_without_own_choice`.

        Args:
            request (torch.LongTensor): shape: [n]
            candidates (Candidates): The items
            prior (Prior): From :meth:`prior`, of the same. Default: that of ranking
        """
        if prior is None:
            prior = self.prior(request, candidates)
        if self.use_memory:
            yield "memory", self.memory(request, candidates, prior)
            if self.use_similar_requests:
                yield "similar_requests", self.similar_requests(
                    request, candidates, prior
                )
            yield "popularity", Score(prior.log_popularity)
            unchosen = self.popularity.is_new & self.popularity.in_catalogue
            unchosen = unchosen[candidates.item].to(self.popularity.count.dtype)
            yield "unchosen", Score(unchosen.unsqueeze(0))
            if not self.training:
                # a single choice says little, and the popularity that it makes too much
                count = self.popularity.count[candidates.item].unsqueeze(0)
                yield "seldom", Score((count > 0) / count.clamp(min=1))
        yield "towers", Score(prior.logits)
        if self.use_zero_shot and not self.training:
            # where data is small it says more than the towers, which learn better without
            vectors = candidates.rows_of(self.like_history.vectors)
            wish = self.like_history.whitening(self.requests.vectors[request])
            yield "zero_shot", Score(Product(wish, vectors))
        if self.use_refusals:
            refusal_e = -self.logit_scale.exp() * self._refusal_e(request)
            yield "refusals", Score(Product(refusal_e, prior.item_e))
        if self.use_refused_words and not self.training:
            # they were counted with the very choices that training has as targets
            meant, avoided = self.refused_words(request, candidates)
            yield "meant", Score(meant)
            yield "avoided", Score(avoided)

    def prior(
        self,
        request: torch.LongTensor,
        candidates: Candidates,
        made_new: torch.BoolTensor | None = None,
        log_inclusion: torch.FloatTensor | None = None,
        embed: Callable[[torch.LongTensor], torch.FloatTensor] | None = None,
    ) -> Prior:
        r"""Return what towers and popularity expect of items.

        Args:
            request (torch.LongTensor): shape: [n]
            candidates (Candidates): The items
            made_new (torch.BoolTensor): In training, see :class:`Popularity`
            log_inclusion (torch.FloatTensor): In training, as for
                :class:`SampledSoftmaxLoss`, shape: [n_candidates]
            embed (Callable): Returns the embeddings of items. Default: their tower
        """
        # each distinct text goes through its tower once
        request_e = self.logit_scale.exp() * self.requests(request)
        if embed is None and candidates.is_all:
            item_e = self.items.embed_all()  # without a copy of what is remembered
        else:
            item_e = (embed or self.items)(candidates.item)
        logits = torch.matmul(request_e, item_e.transpose(0, 1)).float()
        log_popularity, is_new = self.popularity(candidates, made_new)
        nothing = torch.zeros_like(logits[:, :1])
        prior = Prior(logits, log_popularity, nothing, is_new, item_e)
        if self.use_memory:
            normalizer = self._log_normalizer(
                request_e, prior, candidates, made_new, log_inclusion
            )
            prior = prior._replace(log_normalizer=normalizer)
        return prior

    def _log_normalizer(self, request_e, prior, candidates, made_new, log_inclusion):
        r"""The log of the sum of popularity · exp(towers) over the catalogue, shape: [n, 1].

        Items that were not in the catalogue in training take nothing from the others.
        """
        logits, log_popularity = prior.logits, prior.log_popularity
        if log_inclusion is None and len(candidates) < self.n_items:
            candidates = self._every_item()
            logits = torch.matmul(request_e, self.items.embed_all().transpose(0, 1))
            log_popularity, _ = self.popularity(candidates, made_new)
        if log_inclusion is not None:
            log_popularity = log_popularity - log_inclusion
        known = candidates.rows_of(self.popularity.in_catalogue)
        log_popularity = log_popularity.masked_fill(~known, -torch.inf)
        return torch.logsumexp(logits + log_popularity, dim=1, keepdim=True)

    def _without_own_choice(self, request, index, candidates, prior, positives):
        r"""What changes when the choice of each row of a batch is left out of its terms of the
        request.

        Args:
            request (torch.LongTensor): Distinct requests, shape: [n_requests]
            index (torch.LongTensor): The request of each row among these, shape: [n]
            candidates (Candidates): The items
            prior (Prior): Of the requests and candidates
            positives (tuple): As for :class:`Neighbors`

        Returns:
            Score: Weighted, shape: [n, n_candidates]
        """
        row, position = positives
        shape, weights = (len(index), len(candidates)), self.weights
        gain = torch.zeros_like(prior.logits[:1, 0]).repeat(shape[0])
        gain[row] = self.memory.without_choice(request[index[row]])
        is_known = ~prior.is_new
        others = Product(gain.unsqueeze(1), is_known.to(gain.dtype).unsqueeze(1))

        # a target that is new has nothing to be left out
        row, position = row[is_known[position]], position[is_known[position]]
        item, of_row = candidates.item[position], index[row]
        asked = request[of_row]
        popularity = self.popularity.of_targets(item)
        change = popularity - prior.log_popularity[0, position]
        before = prior.at(of_row, position)
        after = before + change
        memory = self.memory.at(asked, item, after, left_out=1)
        memory = memory - self.memory.at(asked, item, before) - gain[row]
        total = weights["memory"] * memory + weights["popularity"] * change
        if self.use_similar_requests:
            found = self.similar_requests.at(asked, item, after)
            found = found - self.similar_requests.at(asked, item, before)
            total = total + weights["similar_requests"] * found
        targets = Sparse(row, position, total, shape)
        return weights["memory"] * Score(others) + Score(targets)

    def user_terms(
        self,
        interaction: Interaction,
        candidates: Candidates,
        positives: tuple[torch.LongTensor, torch.LongTensor] | None = None,
        made_new: torch.BoolTensor | None = None,
        rest: tuple[torch.LongTensor, ...] = (),
        embed: Callable[[torch.LongTensor], torch.FloatTensor] | None = None,
    ) -> Iterator[tuple[str, Score]]:
        r"""Yield the terms that depend on the user: name, and score of shape
        [n, n_candidates].

        Args:
            interaction (Interaction): n rows
            candidates (Candidates): The items
            positives, made_new: In training, see :class:`Neighbors` and :class:`Popularity`
            rest: In training, see :class:`Batch`; drawn here if it is empty
            embed (Callable): As for :meth:`prior`
        """
        if not self.reads_history:
            return
        history = self._history(interaction)
        n_items = (history > 0).sum(dim=1, keepdim=True)
        latest = history.gather(1, (n_items - 1).clamp(min=0)).squeeze(1)
        steps = torch.arange(history.shape[1], device=history.device)
        distance, remembered = n_items - 1 - steps, history
        if positives is not None:
            history, distance, remembered = rest or self._rest_and_thinned(interaction)
        if self.use_neighbors:
            user = interaction[self.USER_ID]
            neighbors = self.neighbors(history, candidates, positives, user)
            yield "neighbors", Score(_without(neighbors, made_new))
        if self.use_transitions:
            transitions = self.transitions(latest, candidates, positives)
            yield "transitions", Score(_without(transitions, made_new))
        if self.use_history:
            attention = self._attention(
                interaction[self.REQUEST], history, embed or self.items
            )
            yield "history", Score(self._like_history(history, attention, candidates))
            yield "nearest", Score(self.nearest(history, candidates))
        if self.use_similarity:
            is_new = self.popularity.is_new
            yield "similarity", self.similarity(
                remembered, distance, candidates, is_new, made_new
            )

    def _like_history(self, history, attention, candidates):
        r"""The products of candidates with the mean of each history."""
        vectors = self.like_history.vectors
        if candidates.is_all:
            weight = self.like_history.weights(history, attention)
            found = self._item_products.summed(history, weight, vectors)
            if found is not None:
                return found
        mean = self.like_history(history, attention)
        return Product(mean, candidates.rows_of(vectors))

    def _other_user_items(self, interaction, candidates, positives):
        r"""The candidates that are items of the user other than the target: the number of a
        positive and the position of an item, shape: [n_cells] each."""
        row, position = positives
        found = self.user_items(interaction[self.USER_ID][row], candidates)
        found = found.only(found.position != position[found.row])
        return found.row, found.position

    def _draw_candidates(self, item, label):
        r"""The items of a batch and a uniform sample of the others, with the log of the
        probability that each is drawn, shape: [n_candidates].

        It is infinite for items that only the negatives of BCE bring, so that the softmax
        leaves them out.
        """
        sampled = min(self.n_candidates, self.n_items - 1)
        drawn = torch.randperm(self.n_items - 1, device=item.device)[:sampled] + 1
        candidates = Candidates(torch.unique(torch.cat([item, drawn])), self.n_items)
        share = self.trained_share[candidates.item]
        missed = 1 - sampled / (self.n_items - 1)
        missed = missed * (1 - share) ** torch.count_nonzero(label == 1)
        # what is never chosen, and never drawn, has no probability
        log_inclusion = torch.log1p(-missed.clamp(max=1 - 1e-6))
        of_softmax = torch.cat([item[label == 1], drawn])
        left_out = torch.ones_like(log_inclusion, dtype=torch.bool)
        left_out[candidates.position[of_softmax]] = False
        return candidates, log_inclusion.masked_fill_(left_out, torch.inf)

    def prepare_batch(self, interaction: Interaction) -> Batch:
        r"""Draw for a batch what is random about it, except the dropout of the towers."""
        interaction, label = super().prepare_batch(interaction)
        candidates, log_inclusion = self._draw_candidates(
            interaction[self.ITEM_ID], label
        )
        made_new = None
        if self.new_item_rate > 0:
            drawn = torch.rand(len(candidates), device=label.device)
            made_new = drawn < self.new_item_rate
        rest = self._rest_and_thinned(interaction) if self.reads_history else ()
        return Batch(interaction, label, candidates, log_inclusion, made_new, rest)

    def part_of_loss(self, batch: Batch, own: slice = slice(None)) -> torch.FloatTensor:
        # a temperature below 0.01 makes training unstable (as in CLIP)
        self.logit_scale.data.clamp_(max=math.log(100))
        interaction, label = batch.interaction[own], batch.label[own]
        positive_row = torch.where(label == 1)[0]
        column = batch.candidates.position[interaction[self.ITEM_ID]]
        positives = positive_row, column[positive_row]
        logits = self._training_logits(interaction, batch, own, positives)
        excluded = None
        if self.mask_user_items:
            excluded = self._other_user_items(interaction, batch.candidates, positives)
        of_positives = logits
        if len(positive_row) < len(logits):
            of_positives = logits[positive_row]
        share = len(positive_row) / torch.count_nonzero(batch.label == 1).clamp(min=1)
        loss = self.softmax(
            of_positives,
            column[positive_row],
            batch.log_inclusion if self.popularity_correction else None,
            excluded,
        )
        loss = self.loss.contrastive_weight * share * loss
        if self.loss.bce_weight > 0:
            row = torch.arange(len(column), device=column.device)
            bce = F.binary_cross_entropy_with_logits(
                logits[row, column], label, reduction="sum"
            )
            loss = loss + self.loss.bce_weight * bce / len(batch.label)
        return loss

    def _training_logits(self, interaction, batch, own, positives):
        r"""Logits of the candidates of a batch for some of its rows, with the choice of each
        left out, shape: [n, n_candidates]."""
        candidates, made_new = batch.candidates, batch.made_new
        rest = tuple(each[own] for each in batch.rest)
        # requests with the same text differ only by the choice that is left out
        request, index = torch.unique(interaction[self.REQUEST], return_inverse=True)
        embed = None
        if self.use_history and rest:
            embed = self._embed_of(candidates, rest[0])
        prior = self.prior(request, candidates, made_new, batch.log_inclusion, embed)
        weights, of_request, of_user = self.weights, Score(), Score()
        for name, term in self.request_terms(request, candidates, prior):
            of_request = of_request + weights[name] * term
        for name, term in self.user_terms(
            interaction, candidates, positives, made_new, rest, embed
        ):
            of_user = of_user + weights[name] * term
        if self.use_memory:
            of_user = of_user + self._without_own_choice(
                request, index, candidates, prior, positives
            )
        logits = F.embedding(index, of_request.dense(prior.logits.shape))
        return of_user.added_to(logits, logits.shape)

    def _of_requests(self, asked, candidates):
        r"""Logits of items without what depends on the user, shape: [n, n_items].

        Args:
            asked (torch.LongTensor): Requests; for users without a history, to whom other
                weights apply, each plus the number of requests, shape: [n]
            candidates (Candidates): The items
        """
        n_requests = len(self.requests.vectors)
        request, alone = asked % n_requests, torch.where(asked >= n_requests)[0]
        gain = self._gain_without_history() if len(alone) else {}
        weights, shape = self.weights, (len(request), len(candidates))
        of_request, of_words, gained = Score(), Score(), Score()
        for name, term in self.request_terms(request, candidates):
            if name in gain:
                gained = gained + gain[name] * term
            if name in OF_WORDS:
                of_words = of_words + weights[name] * term
            else:
                strength = self.refusal_strength if name == "refusals" else 1.0
                of_request = of_request + strength * weights[name] * term
        logits = of_request.dense(shape)
        if self.use_refused_words:
            of_words = torch.tanh(WORDS_FACTOR / MOST_BY_WORDS * of_words.dense(shape))
            logits = logits + self.refusal_strength * MOST_BY_WORDS * of_words
        if gain:
            logits[alone] += gained.dense(shape)[alone]
        return logits

    def _kept_of_requests(self, asked, candidates):
        r"""The same; what several batches of an evaluation ask is scored once."""
        shape = 2 * len(self.requests.vectors), len(candidates)
        evaluates = not (self.training or torch.is_grad_enabled())
        if not (evaluates and candidates.is_all) or math.prod(shape) > MOST_KEPT:
            return self._of_requests(asked, candidates)
        state = state_of([*self.parameters(), *self.buffers()])
        table = self._request_logits.table(
            (self.refusal_strength, state),
            asked,
            shape,
            lambda new: self._of_requests(new, candidates),
        )
        return table[asked]

    def _logits(self, interaction, candidates):
        r"""Logits of items for the user and request of each row, shape: [n, n_items]."""
        request, n_requests = interaction[self.REQUEST], len(self.requests.vectors)
        if self._gain_without_history():
            alone = interaction[self.HISTORY_LENGTH] == 0
            request = request + n_requests * alone
        # requests with the same text differ only by their users
        asked, index = torch.unique(request, return_inverse=True)
        logits = self._kept_of_requests(asked, candidates)
        logits, weights, of_user = logits[index], self.weights, Score()
        for name, term in self.user_terms(interaction, candidates):
            weight = weights[name]
            weight = candidates.rows_of(weight) if weight.dim() else weight
            of_user = of_user + weight * term
        return of_user.added_to(logits, logits.shape)

    def _every_item(self):
        r"""The whole catalogue as candidates."""
        item = torch.arange(self.n_items, device=self.logit_scale.device)
        return Candidates(item, self.n_items)

    def predict(self, interaction: Interaction) -> torch.FloatTensor:
        candidate, index = torch.unique(interaction[self.ITEM_ID], return_inverse=True)
        logits = self._logits(interaction, Candidates(candidate, self.n_items))
        return logits.gather(1, index.unsqueeze(1)).squeeze(1)

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        return self._logits(interaction, self._every_item()).view(-1)


def _without(term, made_new):
    r"""A term of counts, without those of items that are treated as new."""
    return term if made_new is None else term.only(~made_new[term.position])
