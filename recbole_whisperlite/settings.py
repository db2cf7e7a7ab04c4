"""Our yaml files and checks inside RecBole's ``Config``.

RecBole reads defaults from its own ``properties/`` only. The functions here are called
by the ``Config`` methods that :mod:`recbole_whisperlite.register` wraps; what a user
sets in files, dict or command line wins as always, because ``Config`` merges it later.
"""

import importlib.util
import itertools
import os
import re
import sys
from pathlib import Path

import recbole
import yaml
from recbole.utils import (
    ModelType,
    dataset_arguments,
    evaluation_arguments,
    general_arguments,
    training_arguments,
)

from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.paths import PROPERTIES

RECBOLE = Path(recbole.__file__).parent
BUILT_IN_DATASETS = ("stylist-mini",)
REQUEST_SETTINGS = PROPERTIES / "dataset" / "request.yaml"
OUR_PROGRAMS = ("run_recbole.py", "__main__.py", "recbole-whisperlite")
# The flags of run_recbole.py and what RecBole's ``run`` adds for several processes.
RUN_FLAGS = (
    "model dataset config_files nproc ip port world_size group_offset offset local_rank"
).split()


def our_models():
    """Return the names of the models that this package brings, sorted."""
    return sorted(path.stem for path in (PROPERTIES / "model").glob("*.yaml"))


def check_model(name):
    """Raise a UserError that lists the models if RecBole would not find ``name``.

    Args:
        name (str): As in ``get_model``; RecBole's own search ends in an import error of
            an optional library.
    """
    known = our_models() + [
        path.stem for path in (RECBOLE / "properties" / "model").glob("*.yaml")
    ]
    if name in known:
        return
    for kind in ("general", "context_aware", "sequential", "knowledge_aware"):
        module = f"recbole.model.{kind}_recommender.{str(name).lower()}"
        if importlib.util.find_spec(module) and hasattr(
            importlib.import_module(module), name
        ):
            return
    raise UserError(
        f"There is no model '{name}'.{did_you_mean(name, known)} Models are "
        f"{', '.join(sorted(set(known), key=str.lower))}."
    )


def add_defaults(config, model, dataset):
    """Put our yaml files between RecBole's defaults and the user's settings.

    Args:
        config (Config): With ``internal_config_dict`` as RecBole filled it and
            ``external_config_dict`` as the user gave it.
        model (str): Model name.
        dataset (str): Dataset name.

    Our own files about a dataset that RecBole has settings for too (ml-100k) are used
    for our models only: RecBole's models behave as without us.

    Raises:
        UserError: If one of our models or a request-aware dataset is given a setting
            that neither RecBole nor this package knows.
    """
    ours = model in our_models()
    own = RECBOLE / "properties" / "dataset" / f"{dataset}.yaml"
    layers = [PROPERTIES / "model" / f"{model}.yaml"] if ours else []
    if ours or not own.is_file():
        layers.append(PROPERTIES / "dataset" / f"{dataset}.yaml")
    layers = [_read(config, path) for path in layers if path.is_file()]
    requests = _read(config, REQUEST_SETTINGS)
    known = {**config.internal_config_dict, **requests}
    for layer in [*layers, config.external_config_dict]:
        known.update(layer)
    if not (ours or _is_request_aware(known, dataset)):
        return
    _check_settings(config, [*layers, requests])
    config.internal_config_dict.update(requests)
    config.internal_config_dict.update(_training_defaults(config, known))
    for layer in layers:
        config.internal_config_dict.update(layer)


def _read(config, path):
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=config.yaml_loader) or {}


def _is_request_aware(settings, dataset):
    if settings["request_template"] or dataset in BUILT_IN_DATASETS:
        return True
    return os.path.isfile(
        os.path.join(settings["data_path"], dataset, f"{dataset}.request")
    )


def _training_defaults(config, settings):
    """Negatives that fit the family, where all rows are choices.

    RecBole trains context models on labels by default, and refuses sequential models
    with cross-entropy unless negative sampling is turned off.
    """
    kind = config.internal_config_dict["MODEL_TYPE"]
    if kind == ModelType.CONTEXT:
        return {
            "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1},
            "threshold": None,
        }
    if kind == ModelType.SEQUENTIAL and settings.get("loss_type") == "CE":
        return {"train_neg_sample_args": None}
    return {}


def _check_settings(config, layers):
    accepted = {
        *general_arguments,
        *training_arguments,
        *evaluation_arguments,
        *dataset_arguments,
        *config.internal_config_dict,
        *RUN_FLAGS,
    }.union(*layers)
    unknown = set(config.external_config_dict) - accepted
    if unknown:  # rare, so the slow search is for this case only
        accepted.update(_recbole_settings())
    ours = set().union(*layers)
    for name in sorted(unknown - accepted):
        if _is_of_another_program(config, name) and not did_you_mean(name, ours):
            continue
        raise UserError(
            f"There is no setting '{name}'.{did_you_mean(name, accepted)} Settings of "
            f"this package are {', '.join(sorted(ours))}; all of RecBole's are "
            "accepted too."
        )


def _is_of_another_program(config, name):
    """Config reads the whole command line, also of a user's own script or of pytest."""
    given = {**config.file_config_dict, **config.variable_config_dict}
    return name not in given and Path(sys.argv[0]).name not in OUR_PROGRAMS


def _recbole_settings():
    """Return every key of a model: in yaml files, RecBole's and ours, and its source."""
    keys = set()
    files = RECBOLE.glob("properties/**/*.yaml"), PROPERTIES.glob("model/*.yaml")
    for path in itertools.chain(*files):
        keys.update(re.findall(r"^(\w+):", path.read_text("utf-8"), re.MULTILINE))
    for path in RECBOLE.glob("**/*.py"):
        keys.update(re.findall(r"""config\[["'](\w+)["']\]""", path.read_text("utf-8")))
    return keys


def check_dataset(config):
    """Build a built-in dataset that is absent; say what is missing of any other.

    Args:
        config (Config): With ``dataset`` and ``data_path``, the dataset's own folder.

    Raises:
        UserError: If there is no such folder and RecBole knows no download for the
            name, or the folder has no ``.inter`` file or lacks one that the model reads
            beside it.
    """
    name, folder = config["dataset"], Path(config["data_path"])
    if not folder.is_dir():
        if name in BUILT_IN_DATASETS:
            # drawing needs Pillow and a vocabulary: imported only to build
            from recbole_whisperlite.data import stylist_mini

            stylist_mini.build(folder)
            return
        urls = yaml.safe_load((RECBOLE / "properties/dataset/url.yaml").read_text())
        if name in urls:
            return
        here = sorted(
            path.name for path in folder.parent.glob("*/") if path.is_dir()
        ) or ["nothing"]
        built_in = [*BUILT_IN_DATASETS, "ml-100k"]
        raise UserError(
            f"There is no dataset '{name}': the folder {folder} does not exist."
            f"{did_you_mean(name, [*built_in, *here])} {folder.parent} holds {', '.join(here)}; "
            f"built in are {', '.join(built_in)}. Set "
            "data_path to the folder that holds the dataset's folder."
        )
    if not config["benchmark_filename"] and not (folder / f"{name}.inter").is_file():
        files = sorted(path.name for path in folder.iterdir())
        raise UserError(
            f"{folder / f'{name}.inter'}: this file does not exist; the folder holds "
            f"{', '.join(files[:20]) or 'nothing'}. The interactions of dataset "
            f"'{name}' belong into {name}.inter."
        )
    for suffix in config["additional_feat_suffix"] or ():
        file = folder / f"{name}.{suffix}"
        if not file.is_file():
            raise UserError(
                f"{file}: this file does not exist, but {config['model']} reads it "
                "(additional_feat_suffix). Write it, or use a model that does without."
            )
