"""Settings of the two components, for Hydra; defaults are those of ``properties/``.

They are handed to Hydra's ``ConfigStore`` instead of being a yaml file, so that each default
has one place: the annotated yaml files that RecBole 1 reads, too.
"""

from dataclasses import asdict
from typing import Any

import yaml
from hydra.core.config_store import ConfigStore
from recbole3.dataset import SplitConfig

from recbole_whisperlite.config.annotated import OVERALL, Setting, read_settings
from recbole_whisperlite.config.values import check_values
from recbole_whisperlite.paths import PROPERTIES

_OF_WHISPERLITE = PROPERTIES / "model" / "WhisperLite.yaml"
_OF_REQUESTS = PROPERTIES / "dataset" / "request.yaml"
# Those that have a meaning here. Pictures are left out, and batches and negatives are the
# trainer's and the collator's.
_NAMES = {
    _OF_WHISPERLITE: (
        *("embedding_size", "mlp_hidden_size", "dropout_prob", "normalize"),
        *("temperature", "learn_temperature", "bce_weight", "contrastive_weight"),
        *("contrastive", "popularity_correction", "mask_false_negatives"),
    ),
    _OF_REQUESTS: (
        *("encoder", "encoder_dim", "clip_model", "clip_pretrained"),
        *("sentence_transformers_model", "request_vectors_file", "item_vectors_file"),
        *("long_text", "encode_batch_size", "vector_dtype", "cache_dir"),
    ),
    OVERALL: ("seed", "show_progress"),
}


def table() -> dict[str, Setting]:
    """Return what the model's settings accept, by name."""
    return {
        name: read_settings(path)[name]
        for path, names in _NAMES.items()
        for name in names
    }


def defaults() -> dict[str, Any]:
    """Return the defaults of the model's settings by name."""
    content = {path: yaml.safe_load(path.read_text("utf-8")) for path in _NAMES}
    return {
        name: content[path][name] for path, names in _NAMES.items() for name in names
    }


def check(settings: dict[str, Any]) -> None:
    """Raise a UserError for the first setting of the model that is not accepted.

    Args:
        settings (dict): Values by name.
    """
    check_values(settings, table())


def trainer() -> dict[str, Any]:
    """Return RecBole3.0's settings of the trainer that agree with those of RecBole 1."""
    ours, overall = (
        yaml.safe_load(path.read_text("utf-8")) for path in (_OF_WHISPERLITE, OVERALL)
    )
    return {
        # a batch of RecBole 1 counts the sampled negatives, one a positive
        "batch_size": ours["train_batch_size"] // 2,
        "shuffle": True,
        "max_epochs": overall["epochs"],
        "monitor": "ndcg@10",
        "early_stopping": {
            "enabled": True,
            "patience": overall["stopping_step"],
            "min_delta": 0.0,
        },
        "checkpoint": {"save_best": True, "save_last": False},
        "optimizer": {"name": "Adam", "kwargs": {"lr": overall["learning_rate"]}},
        "eval": {
            "protocol": "full",
            "exclude_history": True,
            "metrics": [
                {"name": "recall", "ks": [5, 10]},
                {"name": "ndcg", "ks": [5, 10]},
            ],
        },
    }


def store(dataset: str, model: str) -> None:
    """Let Hydra find the settings of the two entries by their names.

    Args:
        dataset (str), model (str): The names, ``dataset=…`` and ``model=…``.
    """
    found = ConfigStore.instance()
    found.store(
        group="dataset",
        name=dataset,
        node={
            "name": dataset,
            "path": "dataset/stylist-mini",
            "item_text_fields": None,
            # as RecBole 1's datasets here: the last two requests of each user
            "split": asdict(SplitConfig(strategy="leave_one_out")),
        },
    )
    found.store(
        group="model",
        name=model,
        package="_global_",
        node={"model": {"name": model, **defaults()}, "trainer": trainer()},
    )
