"""What our components need of RecBole3.0, where it is not installed.

It has the two tables and the classes that RecBole3.0's ``docs/component-authoring.md`` tells
authors to extend, at commit 71b0d83, with leave-one-out as the only split. Where RecBole3.0
is installed, the same tests run on the real one.
"""

import sys
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pandas as pd
import torch
from torch.utils.data import Dataset


class FrameDataset(Dataset):
    def __init__(self, frame):
        self.frame = frame.reset_index(drop=True)

    def __len__(self):
        return len(self.frame)


@dataclass(slots=True)
class SplitConfig:
    strategy: str = "leave_one_out"
    order: str = "chronological"
    per_user: bool = True


@dataclass(slots=True)
class DatasetConfig:
    name: str = ""
    split: SplitConfig = field(default_factory=SplitConfig)


@dataclass
class ParsedData:
    interactions: pd.DataFrame
    user_table: Any = None
    item_table: Any = None


class BaseDatasetParser:
    def __init__(self, config):
        self.config = config


class BaseTaskDataset:
    def __init__(self, config):
        self.config = config

    def prepare(self, *, eval_config):
        parsed = self.parser_cls(self.config).parse()
        inter = parsed.interactions
        self._items = parsed.item_table.assign(item_id=range(len(parsed.item_table)))
        number = dict(zip(parsed.item_table["item_id"], self._items["item_id"]))
        users = pd.unique(inter["user_id"])
        inter["user_id"] = pd.Categorical(inter["user_id"], users).codes.astype("int64")
        inter["item_id"] = inter["item_id"].map(number)
        self._num_users = len(users)
        ordered = self._order_interactions(inter)
        train, valid, test = self._split_interactions(ordered)
        seen = pd.concat([train, valid])
        build = self._build_retrieval_eval_frame
        self._parts = {
            "train": FrameDataset(train),
            "valid": FrameDataset(build(valid, seen_history_interactions=train)),
            "test": FrameDataset(build(test, seen_history_interactions=seen)),
        }
        return self

    def _order_interactions(self, inter):
        of_users = [
            of_user.sort_values("timestamp", kind="stable")
            for _, of_user in inter.groupby("user_id", sort=False)
        ]
        return pd.concat(of_users, ignore_index=True)

    def _split_interactions(self, ordered):
        left = ordered.groupby("user_id").cumcount(ascending=False)
        return tuple(
            ordered[part].reset_index(drop=True)
            for part in (left > 1, left == 1, left == 0)
        )

    @staticmethod
    def _group_unique_item_sequences(inter):
        inter = inter.drop_duplicates(["user_id", "item_id"])
        return inter.groupby("user_id")["item_id"].agg(tuple).to_dict()

    def get_train_dataset(self):
        return self._parts["train"]

    def get_eval_dataset(self, split):
        return self._parts[split]

    def get_item_table(self):
        return self._items.copy()

    def get_num_items(self):
        return len(self._items)


@dataclass(slots=True)
class ModelConfig:
    name: str = ""


@dataclass
class ModelDatasets:
    train_dataset: Any = None
    valid_dataset: Any = None
    test_dataset: Any = None


class BaseCollator:
    def __init__(self, config, prepared_data):
        self.config, self.prepared_data = config, prepared_data


class BaseRetrievalModel(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config


class BaseModelDataset(BaseTaskDataset):
    @classmethod
    def from_task_dataset(cls, dataset, *, model_config):
        made = cls.__new__(cls)
        vars(made).update(vars(dataset))
        parts = made._build_model_datasets(model_config=model_config)
        made._parts = {
            "train": parts.train_dataset,
            "valid": parts.valid_dataset,
            "test": parts.test_dataset,
        }
        return made


class Trainer:
    def __init__(self, config):
        self.config = config

    def create_evaluation_method(self, prepared_data=None):
        return "the method of RecBole3.0"


class Pipeline:
    pass


@dataclass
class DatasetSpec:
    dataset_cls: type
    config_cls: type


@dataclass(frozen=True)
class ModelSpec:
    model_cls: Any
    config_cls: Any
    model_data_cls: Any = None
    trainer_cls: type = Trainer
    trainer_config_cls: Any = None
    pipeline_cls: type = Pipeline


class FullEvaluationMethod:
    def __init__(self, *, metric_specs, exclude_history):
        self.exclude_history = exclude_history

    @classmethod
    def _pad_int_lists(cls, records, key, *, device=None):
        rows = [torch.tensor(values, dtype=torch.long) for values in records[key]]
        items = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return items, torch.arange(items.shape[1]) < lengths[:, None]


class ConfigStore:
    """Hydra's, where it is not installed: what is stored, by group and name."""

    repo = {}

    @classmethod
    def instance(cls):
        return cls

    @classmethod
    def store(cls, name, node, group=None, package=None):
        cls.repo[group, name] = node


def install():
    """Put the stand-in among the imported modules; return the names of what was added."""
    others = {
        "hstu": ModelSpec("HSTU", None),
        "rpg": ModelSpec("RPG", None, None, object),
    }
    contents = {
        "recbole3": {},
        "recbole3.config": {"instantiate_dataclass": lambda cls, given: cls(**given)},
        "recbole3.dataset": {
            **{name: name.lower() for name in ("USER_ID", "ITEM_ID", "LABEL")},
            **{name: name.lower() for name in ("TIMESTAMP", "SEEN_ITEM_IDS")},
            "DATASET_TABLE": {},
        },
        "recbole3.model": {"MODEL_TABLE": others},
        "recbole3.model.base": {},
        "recbole3.trainer": {},
        "recbole3.pipeline": {},
        "recbole3.evaluation": {},
        "recbole3.evaluation.methods": {},
        "recbole3.evaluation.methods.full": {},
    }
    if "hydra" not in sys.modules:
        contents |= {"hydra": {}, "hydra.core": {}, "hydra.core.config_store": {}}
    classes = {name: value for name, value in globals().items() if type(value) is type}
    classes["BaseModelDataset"] = BaseModelDataset
    for name, content in contents.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.__path__ = []
        vars(module).update(classes | content)
        sys.modules[name] = module
    return set(contents)
