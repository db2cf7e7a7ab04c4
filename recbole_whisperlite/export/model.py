"""Writes a trained model as a folder that needs neither RecBole nor the dataset."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import recbole  # noqa: F401  (first, as it imports what is below)
import yaml
from recbole.quick_start import load_data_and_model
from recbole.utils import get_trainer

import recbole_whisperlite
from recbole_whisperlite import own_code
from recbole_whisperlite.compat.checkpoint import data_in
from recbole_whisperlite.data.texts import IMAGE_FIELD
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.result_file import versions
from recbole_whisperlite.export.card import card
from recbole_whisperlite.export.scorers import scorer_of
from recbole_whisperlite.model.names import settings_files
from recbole_whisperlite.paths import PROPERTIES
from recbole_whisperlite.recommend.catalogue import TEXT, Catalogue
from recbole_whisperlite.recommend.load import ENCODER_SETTINGS
from recbole_whisperlite.recommend.save import write_model
from recbole_whisperlite.recommend.state import State
from recbole_whisperlite.recommend.users import Users

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.model.abstract_recommender import AbstractRecommender
    from recbole.trainer import Trainer


def export_checkpoint(
    checkpoint: str | os.PathLike,
    folder: str | os.PathLike,
    with_users: bool = True,
    data_path: str | os.PathLike | None = None,
    own_code_allowed: bool = False,
) -> Path:
    """Export the model of a checkpoint; its test metrics are measured again.

    Args:
        checkpoint (str or Path): Written by RecBole's trainer; its dataset must be where
            it was, seen from the current folder, or in ``data_path``.
        folder (str or Path): Where; see :func:`export_model`.
        with_users (bool): See :func:`export_model`.
        data_path (str or Path, optional): The folder that contains the dataset's folder.
        own_code_allowed (bool): Whether a ``module:Class`` that the checkpoint names may
            be imported.

    Returns:
        Path: The folder.

    Raises:
        UserError: As :func:`export_model`, or if the checkpoint cannot be loaded.
    """
    config, model, _, train_data, _, test_data = load(
        checkpoint, data_path, own_code_allowed
    )
    with _without_log():
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        trainer.eval_collector.data_collect(train_data)
        result = trainer.evaluate(test_data, load_best_model=False)
    return export_model(config, model, test_data, None, result, folder, with_users)


@contextlib.contextmanager
def _without_log():
    """Keep RecBole from printing settings and data, and from changing the log's handlers.

    Warnings pass, but for those that pandas 3 will break RecBole: an earlier one is
    required.
    """
    root = logging.getLogger()
    level, handlers, disabled = root.level, list(root.handlers), root.manager.disable
    logging.disable(max(disabled, logging.INFO))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
            yield
    finally:
        logging.disable(disabled)
        root.setLevel(level)
        root.handlers[:] = handlers


def load(
    checkpoint: str | os.PathLike,
    data_path: str | os.PathLike | None = None,
    own_code_allowed: bool = False,
) -> tuple:
    """Load a checkpoint as RecBole does, without its output.

    Args:
        checkpoint (str or Path), data_path (str or Path, optional), own_code_allowed
            (bool): See :func:`export_checkpoint`.

    Returns:
        tuple: As from ``recbole.quick_start.load_data_and_model``.

    Raises:
        UserError: If there is no such file, or it cannot be loaded.
    """
    if not os.path.isfile(checkpoint):
        raise UserError(
            f"There is no checkpoint {checkpoint}. Checkpoints are the .pth files that a "
            "run writes into saved/."
        )
    with _without_log():
        with data_in(data_path), own_code.allowed(own_code_allowed):
            loaded = load_data_and_model(os.fspath(checkpoint))
    for name in ("result_file", "unit_file", "show_examples", "export"):
        loaded[0][name] = None
    return loaded


def export_of_run(
    trainer: Trainer, test_data: AbstractDataLoader, result: dict
) -> None:
    """Export the model of a run that has just been tested, to the setting ``export``."""
    folder = trainer.config["export"]
    export_model(
        trainer.config,
        trainer.model,
        test_data,
        trainer.best_valid_result,
        result,
        folder,
    )
    logging.getLogger().info(f"Model exported to {folder}")


def export_model(
    config: Config,
    model: AbstractRecommender,
    test_data: AbstractDataLoader,
    valid_result: dict | None,
    test_result: dict | None,
    folder: str | os.PathLike,
    with_users: bool = True,
) -> Path:
    """Write a trained model as a folder.

    Args:
        config (Config): Of the run.
        model (AbstractRecommender): The model.
        test_data (AbstractDataLoader): Of the run; its dataset has all interactions.
        valid_result (dict or None), test_result (dict or None): Metrics by name.
        folder (str or Path): Where; a new or empty folder, or an exported model, which is
            replaced.
        with_users (bool): Whether the histories of the users are written, too.

    Returns:
        Path: The folder, absolute.

    Raises:
        UserError: If the model cannot be exported, its data has no requests, or the
            folder holds something else or cannot be written to.
    """
    dataset = test_data._dataset
    name = config["dataset"]
    if not hasattr(dataset, "request_texts"):
        raise UserError(
            f"The dataset '{name}' has no requests, so its models have nothing to ask and "
            "cannot be exported."
        )
    if not hasattr(dataset, "encoder"):
        raise UserError(
            f"The requests of '{name}' are a column of {name}.inter, which is enough to "
            f"train WhisperLite but not to export it. Move their texts to {name}.request."
        )
    folder = Path(folder).expanduser().resolve()
    model.eval()
    encoder = dataset.encoder
    catalogue = _catalogue(config, dataset)
    scorer = scorer_of(model, dataset, encoder, config)
    users = _users(dataset) if with_users else None
    state = State(catalogue, scorer, users)
    about = {
        "model": config["model"],
        "dataset": config["dataset"],
        "fingerprint": {"test": getattr(test_data, "fingerprint", None)},
        "valid": None if valid_result is None else dict(valid_result),
        "test": None if test_result is None else dict(test_result),
        "composed_from": dataset.composed_from,
        "request_kind": dataset.request_kind,
        "settings": _settings(config, model),
        "versions": versions(),
    }
    settings = {name: config[name] for name in ENCODER_SETTINGS}
    write_model(
        folder,
        {
            "made_with": recbole_whisperlite.__version__,
            "encoder": {"settings": settings},
            "about": about,
        },
        state,
        encoder,
        card(
            about, encoder.names, len(catalogue), None if users is None else len(users)
        ),
    )
    return folder


def _settings(config, model):
    """Return the settings that make the model what it is."""
    files = [*settings_files(type(model)), PROPERTIES / "dataset" / "request.yaml"]
    names = {"seed", "epochs", "learning_rate", "eval_args"}.union(
        *(yaml.safe_load(file.read_text("utf-8")) or {} for file in files)
    )
    names -= {"result_file", "unit_file", "show_examples", "export", "cache_dir"}
    return {name: _plain(config[name]) for name in sorted(names)}


def _plain(value):
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return (
        value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
    )


def _catalogue(config, dataset):
    item_file = dataset.item_file
    if item_file is None:
        dataset.item_texts  # raises, and says what is missing
    ids = [str(id_) for id_ in dataset.field2id_token[dataset.iid_field][1:]]
    frame = item_file.frame.loc[ids]
    types = {name: kind.split(":")[-1] for name, kind in item_file.columns.items()}
    columns = {}
    for name, kind in types.items():
        values = frame[name].tolist()
        if kind == "float":
            numbers = [float(value) if value.strip() else None for value in values]
            columns[name] = pa.array(numbers, pa.float64())
        else:
            columns[name] = pa.array(values, pa.string())
    columns[TEXT] = pa.array(dataset.item_texts[1:], pa.string())
    return Catalogue(
        pa.table(columns),
        dataset.iid_field,
        list(dataset.item_text_columns),
        types,
        os.path.abspath(config["data_path"]) if IMAGE_FIELD in types else None,
        config["seq_separator"],
    )


def _users(dataset):
    begin, items = dataset.all_histories()
    ids = [str(id_) for id_ in dataset.field2id_token[dataset.uid_field][1:]]
    return Users(ids, begin[1:], (items - 1).astype(np.int32))
