"""Our yaml files in RecBole's ``Config``, and checks of the settings.

RecBole reads defaults only from its own ``properties/``. The functions here are called by
the ``Config`` methods that :mod:`recbole_whisperlite.register` wraps. What a user sets in
files, dict or command line still takes precedence, because ``Config`` merges it later.
"""

import ast
import os
import re
import sys
from pathlib import Path

import yaml
from recbole.config import Config
from recbole.utils import (
    ModelType,
    dataset_arguments,
    evaluation_arguments,
    general_arguments,
    training_arguments,
)

from recbole_whisperlite.config.datasets import RECBOLE
from recbole_whisperlite.data.requests import has_requests
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.model import own
from recbole_whisperlite.model.names import find_model, our_models, settings_files
from recbole_whisperlite.paths import PROPERTIES

REQUEST_SETTINGS = PROPERTIES / "dataset" / "request.yaml"
KNOWN_AT_TEST = ("before_request", "train")
OUR_PROGRAMS = ("run_recbole.py", "__main__.py", "recbole-whisperlite")
EVAL_ARGS = ("split", "order", "group_by", "mode")
# What a switch may be written as, for those that the shell or yaml leaves as text.
SWITCHES = {
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
}
# The flags of run_recbole.py, and those that RecBole's ``run`` adds for its processes.
RUN_FLAGS = (
    "model dataset config_files nproc ip port world_size group_offset offset local_rank"
).split()
# What the tuning of a benchmark tells a run that is one of its trials.
OF_TUNING = ("tuning_trial",)


def add_defaults(config: Config, model_class: type, dataset: str) -> None:
    """Put our yaml files between RecBole's defaults and the user's settings.

    Where RecBole, too, has settings for the dataset (ml-100k), our file about it is used
    for our models only: RecBole's models behave as they do without this package.

    Args:
        config (Config): With ``internal_config_dict`` as RecBole filled it and
            ``external_config_dict`` as the user gave it.
        model_class (type): The model.
        dataset (str): Dataset name.

    Raises:
        UserError: If a setting is unknown or belongs to another model, unless a model of
            RecBole's runs on a dataset without requests.
    """
    # a progress bar clutters a log file
    config.internal_config_dict["show_progress"] = sys.stderr.isatty()
    is_recboles = model_class.__module__.startswith("recbole.")
    recboles_file = RECBOLE / "properties" / "dataset" / f"{dataset}.yaml"
    layers = [_read(config, path) for path in settings_files(model_class)]
    if own.is_own(model_class):
        layers.append(own.own_settings(model_class))
    ours = PROPERTIES / "dataset" / f"{dataset}.yaml"
    if ours.is_file() and not (is_recboles and recboles_file.is_file()):
        layers.append(_read(config, ours))
    requests = _read(config, REQUEST_SETTINGS)
    known = {**config.internal_config_dict, **requests}
    for layer in [*layers, config.external_config_dict]:
        known.update(layer)
    folder = os.path.join(known["data_path"], dataset)
    if is_recboles and not has_requests(dataset, folder, known["request_template"]):
        return
    _check_settings(config, model_class, [*layers, requests])
    config.internal_config_dict.update(requests)
    config.internal_config_dict.update(_training_defaults(config, known))
    for layer in layers:
        config.internal_config_dict.update(layer)


def known_settings() -> set[str]:
    """Return all settings of RecBole and of this package, whichever model they belong to."""
    return {
        *general_arguments,
        *training_arguments,
        *evaluation_arguments,
        *dataset_arguments,
        *RUN_FLAGS,
        *OF_TUNING,
        *yaml.safe_load(REQUEST_SETTINGS.read_text("utf-8")),
        *_settings_of_our_models(),
        *_recbole_settings(),
    }


def unquoted_list(value: object) -> object:
    """Return ``[NDCG,Recall]``, a list whose quotes the shell has removed, as a list.

    Args:
        value (object): A setting. Anything that is not a str, or that Python can parse,
            is returned unchanged.
    """
    if not isinstance(value, str) or not re.fullmatch(r"\s*\[.*\]\s*", value):
        return value
    try:
        ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        try:
            return yaml.safe_load(value)
        except yaml.YAMLError:
            pass
    return value


def complete_eval_args(settings: dict, defaults: dict) -> None:
    """Take what ``eval_args`` leaves out from the defaults of the dataset.

    RecBole takes it from its own: who sets only ``mode`` would get a random split.

    Args:
        settings (dict): Final settings, whose ``eval_args`` are replaced.
        defaults (dict): Those that nobody has changed, with ``eval_args``.

    Raises:
        UserError: If ``eval_args`` are no dict, or have a key that RecBole would ignore.
    """
    given = settings["eval_args"]
    if not isinstance(given, dict):
        raise UserError(
            f"eval_args is {given!r}; it must be a dict with {', '.join(EVAL_ARGS)}, such "
            f"as {defaults['eval_args']}."
        )
    for name in given:
        if name not in EVAL_ARGS:
            raise UserError(
                f"eval_args has no '{name}'.{did_you_mean(name, EVAL_ARGS)} It may have "
                f"{', '.join(EVAL_ARGS)}."
            )
    settings["eval_args"] = {**defaults["eval_args"], **given}


def read_switches(settings: dict, defaults: dict) -> None:
    """Turn ``no`` into False, where RecBole would take any text for True.

    Args:
        settings (dict): Final settings, which are changed.
        defaults (dict): Those that nobody has changed: a switch is what is True or False
            there.

    Raises:
        UserError: If a switch is neither.
    """
    for name, default in defaults.items():
        value = settings.get(name)
        if not isinstance(default, bool) or isinstance(value, (bool, type(None))):
            continue
        read = SWITCHES.get(str(value).lower(), value)
        if read not in (True, False):
            raise UserError(f"{name} is {value!r}; it must be True or False.")
        settings[name] = bool(read)


def check_evaluation(settings: dict) -> None:
    """Raise a UserError if the validation metric is not computed, or the time to which
    users are known has no such name.

    Args:
        settings (dict): Final settings, with ``metrics``, ``topk``, ``valid_metric`` and,
            on a dataset with requests, ``known_at_test``.
    """
    _check_known_at_test(settings.get("known_at_test"))
    metric, at, k = str(settings["valid_metric"]).partition("@")
    topk, metrics = settings["topk"], settings["metrics"]
    topk = topk if isinstance(topk, (list, tuple)) else [topk]
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if not all(isinstance(each, int) and each > 0 for each in topk):
        return  # RecBole reports it
    if at and k.isdigit() and int(k) not in topk:
        raise UserError(
            f"valid_metric is {settings['valid_metric']}, but topk is {topk}: the metric "
            f"for early stopping is not computed. Set topk to {[*topk, int(k)]}, or "
            f"valid_metric to {metric}@{topk[0]}."
        )
    computed = {str(name).lower() for name in metrics}
    if metric.lower().removesuffix("_share") not in computed:  # of Violation
        raise UserError(
            f"valid_metric is {settings['valid_metric']}, but metrics are "
            f"{', '.join(map(str, metrics))}. Add {metric} to metrics, or choose one of "
            "them as valid_metric."
        )


def _check_known_at_test(value):
    # None: RecBole's model on a dataset without requests, or an older checkpoint
    if value is not None and value not in KNOWN_AT_TEST:
        raise UserError(
            f"known_at_test is {value!r}; it must be before_request (every model knows all "
            "interactions of the user before the request) or train (those of the training "
            "part only)."
        )


def _read(config, path):
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=config.yaml_loader) or {}


def _training_defaults(config, settings):
    """Return the negative sampling that a model family needs if all rows are positives.

    By default RecBole trains context models on labels, and it refuses sequential models
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


def _check_settings(config, model_class, layers):
    accepted = {
        *general_arguments,
        *training_arguments,
        *evaluation_arguments,
        *dataset_arguments,
        *config.internal_config_dict,
        *RUN_FLAGS,
        *OF_TUNING,
    }.union(*layers)
    unknown = set(config.external_config_dict) - accepted
    if not unknown:
        return
    accepted.update(_recbole_settings())  # slow, and rarely needed
    ours = set().union(*layers)
    elsewhere = _settings_of_our_models()
    for name in sorted(unknown - accepted):
        if name in elsewhere:
            # accepted, as a benchmark passes it to all rows and LateFusion to all parts;
            # but a setting of WhisperLitePlus given to WhisperLite is a mistake
            other = elsewhere[name]
            if issubclass(find_model(other), model_class):
                raise UserError(
                    f"{name} is a setting of {other}, not of {model_class.__name__}. Run "
                    f"--model={other}, or leave {name} out."
                )
            continue
        if _is_of_another_program(config, name) and not did_you_mean(name, ours):
            continue
        raise UserError(
            f"There is no setting '{name}'.{did_you_mean(name, accepted)} Settings of "
            f"this package are {', '.join(sorted(ours))}; all of RecBole's are "
            "accepted too."
        )


def _settings_of_our_models():
    """Return ``{setting: model}`` for the models of this package."""
    return {
        name: model
        for model in our_models()
        for name in re.findall(
            r"^(\w+):",
            (PROPERTIES / "model" / f"{model}.yaml").read_text("utf-8"),
            re.MULTILINE,
        )
    }


def _is_of_another_program(config, name):
    """Whether a flag may be another program's, such as a user's script's or pytest's.

    Config reads the whole command line of whatever program it runs in.
    """
    given = {**config.file_config_dict, **config.variable_config_dict}
    return name not in given and Path(sys.argv[0]).name not in OUR_PROGRAMS


def _recbole_settings():
    """Return all settings of RecBole's models, found in its yaml files and its source."""
    keys = set()
    for path in RECBOLE.glob("properties/**/*.yaml"):
        keys.update(re.findall(r"^(\w+):", path.read_text("utf-8"), re.MULTILINE))
    for path in RECBOLE.glob("**/*.py"):
        keys.update(re.findall(r"""config\[["'](\w+)["']\]""", path.read_text("utf-8")))
    return keys
