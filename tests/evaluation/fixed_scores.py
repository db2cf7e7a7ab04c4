"""A model of each of RecBole's families that ranks i1 before i2 before i3 …"""

import torch
from recbole.model.abstract_recommender import (
    ContextRecommender,
    GeneralRecommender,
    SequentialRecommender,
)
from recbole.utils import InputType


class FixedScores:
    """Ranks i1 before i2 before i3 …, for every query."""

    input_type = InputType.PAIRWISE

    def __init__(self, config, dataset):
        super().__init__(config, dataset)
        self.anything = torch.nn.Parameter(torch.zeros(1))
        tokens = dataset.field2id_token["item_id"][1:]
        score = torch.tensor([0.0] + [-float(token[1:]) for token in tokens])
        self.register_buffer("score", score)


class FullSort(FixedScores):
    def full_sort_predict(self, interaction):
        return self.score.repeat(len(interaction))

    def predict(self, interaction):
        return self.score[interaction["item_id"]]


class General(FullSort, GeneralRecommender):
    pass


class Sequential(FullSort, SequentialRecommender):
    def full_sort_predict(self, interaction):
        assert (interaction["item_length"] > 0).all()
        return super().full_sort_predict(interaction)


class Context(FixedScores, ContextRecommender):
    input_type = InputType.POINTWISE

    def predict(self, interaction):
        for field in self.token_field_names:  # as FMs do: every feature must be there
            assert field in interaction
        return self.score[interaction["item_id"]]


FAMILIES = [General, Sequential, Context]
