"""Saved datasets and dataloaders: whole, and reused only for what they were made of.

RecBole compares a few settings, and not the files, before it takes a saved dataset for the
one of this run; the saved one keeps its old settings, by which it is then split. Saving
dataloaders takes the generators away from those that are trained with.
"""

import contextlib
import functools
import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
import yaml
from recbole.config import Config
from recbole.utils.argument_list import dataset_arguments

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import digest_of_dataset, whole_file
from recbole_whisperlite.paths import PROPERTIES

_REQUESTS = PROPERTIES / "dataset" / "request.yaml"
# What request.yaml sets, and the data do not depend on.
_NOT_OF_DATA = {"metrics", "topk", "valid_metric", "cache_dir"}
_NOT_OF_DATA |= {"result_file", "unit_file", "export", "show_examples"}


def made_of(config: Config) -> str:
    """Return a hash of the files of a dataset and of the settings that it depends on."""
    digest = hashlib.sha256()
    names = {
        *dataset_arguments,
        *yaml.safe_load(_REQUESTS.read_text("utf-8")),
        *("MODEL_TYPE", "seed", "repeatable", "eval_args", "train_neg_sample_args"),
    }
    for name in sorted(names - _NOT_OF_DATA):
        digest.update(f"{name}={config[name]!r}\n".encode())
    files = digest_of_dataset(Path(config["data_path"]), config["dataset"])
    digest.update(files.encode())
    return digest.hexdigest()


def create_dataset(create: Callable) -> Callable:
    """Wrap RecBole's function of this name, so that no saved dataset is out of date."""

    @functools.wraps(create)
    def created(config):
        dataset = create(config)
        if dataset.config is not config:  # it was saved
            if vars(dataset).get("made_of") == made_of(config):
                dataset.config = config
                return dataset
            getLogger().warning(
                f"The saved dataset of '{config['dataset']}' is of other files or settings: "
                "it is read anew."
            )
            with _without_file(config, "dataset_save_path"):
                dataset = create(config)
        if config["save_dataloaders"]:
            dataset.made_of = made_of(config)
        return dataset

    return created


def load_split_dataloaders(load: Callable) -> Callable:
    """Wrap RecBole's function of this name, so that no saved dataloader is out of date."""

    @functools.wraps(load)
    def loaded(config):
        dataloaders = load(config)
        if dataloaders is None:
            return None
        now = made_of(config)
        for dataloader in dataloaders:
            if vars(dataloader._dataset).get("made_of") != now:
                getLogger().warning(
                    f"The saved dataloaders of '{config['dataset']}' are of other files or "
                    "settings: they are made anew."
                )
                return None
            dataloader._dataset.config = config
        return dataloaders

    return loaded


def save_dataset(self) -> None:
    """RecBole's ``Dataset.save``, whole or not at all, with what it was made of."""
    self.made_of = made_of(self.config)
    name = f"{self.config['dataset']}-{type(self).__name__}.pth"
    _dump(self, Path(self.config["checkpoint_dir"]) / name)


def save_split_dataloaders(config: Config, dataloaders: tuple) -> None:
    """RecBole's function of this name, whole or not at all; the dataloaders stay usable.

    Raises:
        UserError: If the model is knowledge-aware.
    """
    if not all(hasattr(each, "generator") for each in dataloaders):
        raise UserError(
            f"The dataloaders of {config['model']}, of interactions and of a knowledge "
            "graph, cannot be saved. Set save_dataset instead of save_dataloaders."
        )
    kept = [(each.generator, vars(each.sampler).copy()) for each in dataloaders]
    states = [generator.get_state() for generator, _ in kept]
    name = f"{config['dataset']}-for-{config['model']}-dataloader.pth"
    try:
        for each in dataloaders:  # a generator cannot be pickled
            each.generator = each.sampler.generator = None
        saved = list(zip(dataloaders, states))
        _dump(saved, Path(config["checkpoint_dir"]) / name)
    finally:
        for each, (generator, of_sampler) in zip(dataloaders, kept):
            each.generator = generator
            vars(each.sampler).update(of_sampler)


@contextlib.contextmanager
def of_one_process(config: Config) -> Iterator[None]:
    """Let a config say that it is of a single process, while it is written to a file: who
    reads the file has no process group to share the data with."""
    settings = config.final_config_dict
    kept, settings["single_spec"] = settings["single_spec"], True
    try:
        yield
    finally:
        settings["single_spec"] = kept


def save_checkpoint(state: Any, file: str | os.PathLike, **options) -> None:
    """``torch.save``, whole or not at all.

    Raises:
        UserError: If the file cannot be written, because the disk is full, for example.
    """
    try:
        with whole_file(file) as temporary:
            torch.save(state, temporary, **options)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"The checkpoint {file} cannot be written: {error}. Free some space, or choose "
            "another checkpoint_dir."
        ) from error


def _dump(saved, path):
    getLogger().info(f"Saving the data into [{path}]")
    try:
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            pickle.dump(saved, file)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}.") from error


@contextlib.contextmanager
def _without_file(config, name):
    """Let a setting name no file, so that RecBole finds none."""
    kept, config[name] = config[name], os.path.join(os.devnull, "none")
    try:
        yield
    finally:
        config[name] = kept
