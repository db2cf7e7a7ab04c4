r"""
LateFusion
################################################
Reference:
    Fox and Shaw, "Combination of Multiple Searches." in TREC-2 1993 (weighted CombSUM).
"""

import itertools

import torch

from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.general_recommender import Pop
from recbole.utils import FeatureSource, FeatureType, InputType, ModelType

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.inputs import stated_inputs
from recbole_whisperlite.model.names import find_model
from recbole_whisperlite.model.untrained import score_pairs


class LateFusion(GeneralRecommender):
    r"""LateFusion adds the scores of several models: a filter page plus "others also bought".

    For each query, the scores of a part are standardised over the catalogue (mean 0,
    standard deviation 1), so that a part counts by its weight, not by the scale of its
    scores. ``LateFusionTrainer`` trains the parts and chooses the weights on validation.

    A part is any general model of RecBole or of this package. Its settings are those of
    its own yaml file, overridden by those of the user.

    Attributes:
        part_config (dict): The Config of each part, by the name of the part.

    Raises:
        UserError: If ``fusion_models`` or ``fusion_grid`` are out of range, or the run is
            spread over several processes.
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL

    @staticmethod
    def inputs(settings: dict) -> list[str]:
        parts = map(find_model, settings["fusion_models"])
        return [word for part in parts for word in stated_inputs(part, settings) or ()]

    def __init__(self, config, dataset):
        super(LateFusion, self).__init__(config, dataset)
        if not config["single_spec"]:
            raise UserError("LateFusion runs in one process: leave out nproc.")

        # load parameters info
        names = _checked_names(config["fusion_models"])
        self.keys = [config["USER_ID_FIELD"], config["REQUEST_FIELD"]]
        self.keys += getattr(dataset, "known_fields", ())
        self.eval_batch_size = config["eval_batch_size"]
        self.grid = config["fusion_grid"]
        given = dict(config.external_config_dict)
        given.pop(
            "local_rank", None
        )  # a checkpoint's, which would join other processes
        self.part_config = {
            name: Config(name, config["dataset"], config_dict=dict(given))
            for name in names
        }

        # A part may learn from sampled negatives, of which LateFusion's dataset has none:
        # it gets the field that RecBole's training dataloader would declare.
        if any(_samples_negatives(each) for each in self.part_config.values()):
            dataset.set_field_property(
                config["LABEL_FIELD"], FeatureType.FLOAT, FeatureSource.INTERACTION, 1
            )

        for name in ("known_items", "item_then", "user_then"):
            self.register_buffer(name, None, persistent=False)
        of_ids, seen = [], dataset
        record = getattr(config, "trained_on", None)
        if record is not None and record.is_loaded:
            # a part of RecBole's knows the ids and interactions of training only
            of_ids = [name for name in names if not record.serves(find_model(name))]
            seen = record.view(dataset)
            self._translate(record.choices(dataset), of_ids)

        # define layers and loss
        self.parts = torch.nn.ModuleDict(
            {
                name: find_model(name)(part_config, seen if name in of_ids else dataset)
                for name, part_config in self.part_config.items()
            }
        )
        self.parts_of_ids = [self.parts[name] for name in of_ids]
        for part in self.parts.values():
            if isinstance(part, Pop):  # cannot score until its training ends, but
                part.max_cnt = torch.ones(1)  # RecBole counts FLOPs before that
        self.register_buffer("weight", torch.full((len(names),), 1 / len(names)))
        self.fake_loss = torch.nn.Parameter(torch.zeros(1))

    def _translate(self, choices, of_ids):
        r"""Prepare for data that has other users or items than the model was trained on."""
        user_then = choices.user_then(self.n_users)
        same_users = len(choices.user_now) == self.n_users and user_then[1:].all()
        if choices.known_items is None and same_users:
            return
        for name in of_ids:
            if find_model(name).type != ModelType.TRADITIONAL:
                raise UserError(
                    f"LateFusion has a part {name}, which learned each user and item by "
                    "itself, but the data has others now: train it anew on this data, or "
                    "load it with the data it was trained on."
                )
        if choices.known_items is not None:
            self.known_items = torch.from_numpy(choices.known_items[1:])
        self.item_then = torch.from_numpy(choices.item_then)
        self.user_then = torch.from_numpy(user_then)

    def forward(self) -> None:
        pass

    def calculate_loss(self, interaction: Interaction) -> torch.FloatTensor:
        return torch.nn.Parameter(torch.zeros(1)).to(self.device)

    def predict(self, interaction: Interaction) -> torch.FloatTensor:
        # standardising needs the scores of all items: compute them once per query
        return score_pairs(
            interaction, self.keys, self.ITEM_ID, self.n_items, self._fuse
        )

    def full_sort_predict(self, interaction: Interaction) -> torch.FloatTensor:
        return self._fuse(interaction).view(-1)

    def _fuse(self, interaction):
        r"""Weighted sum over the parts, shape: [n_queries, n_items]"""
        return sum(
            weight
            * standardise(self._score_catalogue(part, interaction), self.known_items)
            for weight, part in zip(self.weight.tolist(), self.parts.values())
            if weight != 0
        )

    def _score_catalogue(self, part, interaction):
        if self.item_then is None or not any(
            part is each for each in self.parts_of_ids
        ):
            return self._score_in_own_ids(part, interaction)
        # new users and items are to such a part what padding is: nobody it knows
        user = self.user_then[interaction[self.USER_ID]]
        then = Interaction({**interaction.interaction, self.USER_ID: user})
        return self._score_in_own_ids(part, then)[:, self.item_then]

    def _score_in_own_ids(self, part, interaction):
        n_items = part.n_items
        try:
            scores = part.full_sort_predict(interaction)
        except NotImplementedError:
            rows = interaction.repeat_interleave(n_items)
            items = torch.arange(n_items, device=self.device)
            rows.update(Interaction({self.ITEM_ID: items.repeat(len(interaction))}))
            scores = torch.cat(
                [
                    part.predict(rows[start : start + self.eval_batch_size])
                    for start in range(0, len(rows), self.eval_batch_size)
                ]
            )
        return scores.view(-1, n_items).float()

    def other_parameter(self) -> dict:
        return {name: part.other_parameter() for name, part in self.parts.items()}

    def load_other_parameter(self, para: dict | None) -> None:
        for name, part_para in (para or {}).items():
            self.parts[name].load_other_parameter(part_para)


def _samples_negatives(config):
    return config["train_neg_sample_args"]["distribution"] != "none"


def _checked_names(names):
    if not isinstance(names, (list, tuple)) or len(set(names)) < max(len(names), 2):
        raise UserError(
            f"fusion_models is {names}; it must be a list of at least two different "
            "models, such as [RequestPop, ItemKNN, BM25]."
        )
    for name in names:
        kind = find_model(name).type
        if name == "LateFusion" or kind not in (
            ModelType.GENERAL,
            ModelType.TRADITIONAL,
        ):
            raise UserError(
                f"fusion_models: {name} cannot be a part. Parts are general models, "
                "which read the same dataset as LateFusion."
            )
    return list(names)


def standardise(
    scores: torch.FloatTensor, known_items: torch.LongTensor | None = None
) -> torch.FloatTensor:
    r"""Give each row mean 0 and standard deviation 1 over the items; column 0 is padding.

    Args:
        scores (torch.FloatTensor): shape: [n, n_items]
        known_items (torch.LongTensor): The items whose mean and deviation these are, for a
            model that is loaded with new ones, shape: [n_known]. Default: all

    Returns:
        torch.FloatTensor: shape: [n, n_items]. A row of equal scores becomes 0.
    """
    items = scores[:, 1:] if known_items is None else scores[:, known_items]
    deviation, mean = torch.std_mean(items, dim=1, keepdim=True, correction=0)
    # a deviation that is 0 but for rounding must not be amplified
    flat = deviation <= 1e-6 * mean.abs()
    return (scores - mean).div_(deviation).masked_fill_(flat, 0)


def weight_grid(n_parts: int, grid: int) -> torch.FloatTensor:
    r"""All weights that are multiples of 1 / grid and sum to 1, the most even first.

    Args:
        n_parts (int): The number of weights, at least 2.
        grid (int): The number of steps from 0 to 1.

    Returns:
        torch.FloatTensor: shape: [n, n_parts]
    """
    # stars and bars: the positions of n_parts - 1 bars among grid stars
    n_positions = grid + n_parts - 1
    points = []
    for bars in itertools.combinations(range(n_positions), n_parts - 1):
        edges = (-1, *bars, n_positions)
        points.append([after - bar - 1 for bar, after in zip(edges, edges[1:])])
    return torch.tensor(sorted(points, key=max), dtype=torch.float32) / grid
