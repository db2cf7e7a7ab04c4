"""Our yaml files in RecBole's ``Config``, and checks of the settings.

RecBole reads defaults only from its own ``properties/``. The functions here are called by
the ``Config`` methods that :mod:`recbole_whisperlite.register` wraps. What a user sets in
files, dict or command line still takes precedence, because ``Config`` merges it later.
"""

import ast
import importlib
import os
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import yaml
from recbole.config import Config
from recbole.evaluator.register import metrics_dict, smaller_metrics
from recbole.utils import (
    EvaluatorType,
    ModelType,
    dataset_arguments,
    evaluation_arguments,
    general_arguments,
    training_arguments,
)

from recbole_whisperlite.config import values
from recbole_whisperlite.config.annotated import OVERALL, read_settings
from recbole_whisperlite.config.datasets import RECBOLE
from recbole_whisperlite.data.requests import has_requests
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.files import check_folder
from recbole_whisperlite.model import own
from recbole_whisperlite.model.names import (
    TREES,
    find_model,
    our_models,
    settings_files,
)
from recbole_whisperlite.paths import PROPERTIES

REQUEST_SETTINGS = PROPERTIES / "dataset" / "request.yaml"
OUR_PROGRAMS = ("run_recbole.py", "__main__.py", "recbole-whisperlite")
# What a switch may be written as, for those that the shell or yaml leaves as text.
SWITCHES = {
    **dict.fromkeys(("true", "yes", "on"), True),
    **dict.fromkeys(("false", "no", "off"), False),
}
# The flags of run_recbole.py, and those that RecBole's ``run`` adds for its processes.
RUN_FLAGS = (
    "model dataset config_files nproc ip port world_size group_offset offset local_rank"
).split()
# What has to be right before it is known which settings there are.
_NEEDED_EARLY = ("data_path", "request_template")
# What torch.nn.utils.clip_grad_norm_ takes.
_CLIPPING = "max_norm", "norm_type", "error_if_nonfinite", "foreach"
_NUMBER = r"-?(?:inf|\d+(?:\.\d*)?(?:e[+-]?\d+)?)"
_INTERVAL = re.compile(rf"[\[(]\s*{_NUMBER}\s*,\s*{_NUMBER}\s*[\])]")
# The flags of the scripts in RecBole's repository: run_hyper.py, run_recbole_group.py and
# significance_test.py.
SCRIPT_FLAGS = (
    "params_file output_file display_file tool model_list valid_latex test_latex "
    "model_ours model_baseline st_seed run_times"
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
    if model_class.__name__.lower() in TREES:
        # RecBole looks for a file with the name of the class, and does not have it
        file = RECBOLE / "properties" / "model" / f"{model_class.__name__.lower()}.yaml"
        config.internal_config_dict.update(_read(config, file))
    # a library beside RecBole, such as RecBole-GNN, has a Config that reads its yaml files
    is_librarys = type(config) is not Config and own.is_own(model_class)
    is_recboles = model_class.__module__.startswith("recbole.") or is_librarys
    recboles_file = RECBOLE / "properties" / "dataset" / f"{dataset}.yaml"
    layers = [_read(config, path) for path in settings_files(model_class)]
    if own.is_own(model_class) and not is_librarys:
        layers.append(own.own_settings(model_class))
    ours = PROPERTIES / "dataset" / f"{dataset}.yaml"
    if ours.is_file() and not (is_recboles and recboles_file.is_file()):
        layers.append(_read(config, ours))
    requests = _read(config, REQUEST_SETTINGS)
    known = {**config.internal_config_dict, **requests}
    for layer in [*layers, config.external_config_dict]:
        known.update(layer)
    early = {name: known[name] for name in _NEEDED_EARLY}
    values.check_values(
        early, {**read_settings(OVERALL), **read_settings(REQUEST_SETTINGS)}
    )
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
        UserError: If ``eval_args`` are no dict, or have a key or a value that RecBole does
            not know.
    """
    given = settings["eval_args"]
    if isinstance(given, dict) and isinstance(given.get("group_by"), str):
        given = {**given, "group_by": given["group_by"].lower()}  # as RecBole reads it
    values.check_values(
        {"eval_args": given}, {"eval_args": read_settings(OVERALL)["eval_args"]}
    )
    complete = {**defaults["eval_args"], **given}
    _check_split(complete["split"])
    settings["eval_args"] = complete


def _check_split(split):
    if len(split) != 1:
        raise UserError(f"eval_args: split is {split}; it must have either RS or LS.")
    shares = split.get("RS")
    if shares is not None and (len(shares) != 3 or shares[0] == 0):
        raise UserError(
            f"eval_args: split: RS is {shares}; it must be three numbers, the shares of "
            "training (above 0), validation and test, such as [0.8, 0.1, 0.1]."
        )


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


def check_values(settings: dict, model_class: type) -> None:
    """Raise a UserError for a value that the annotated yaml files do not accept.

    Args:
        settings (dict): Final settings of a run of a model of this package, or on a dataset
            with requests.
        model_class (type): The model.
    """
    files = [OVERALL, REQUEST_SETTINGS, *settings_files(model_class)]
    table = {}
    for path in files:
        if PROPERTIES not in path.parents:
            continue  # RecBole's, of a model that ours is derived from
        for name, setting in read_settings(path).items():
            general = table.get(name)
            if general is not None and not setting.entries:
                setting = replace(setting, entries=general.entries)
            if general is not None and general.kind == setting.kind:
                if not setting.accepted:  # the range is said once
                    setting = replace(setting, meaning=general.meaning)
            table[name] = setting
    values.check_values(settings, table)
    for name in ("user_inter_num_interval", "item_inter_num_interval"):
        given = settings.get(name) or "[0,inf)"
        if not all(_INTERVAL.fullmatch(each.strip()) for each in given.split(";")):
            raise UserError(
                f"{name} is {given!r}; it must be an interval such as '[5,inf)'."
            )
    sampling = settings.get("train_neg_sample_args") or {}
    if sampling.get("dynamic") and not sampling.get("candidate_num"):
        raise UserError(
            "train_neg_sample_args: dynamic is True, but candidate_num is 0: set it to the "
            "number of candidates of which the one with the highest score is taken."
        )
    _check_clipping(settings.get("clip_grad_norm"))
    if settings.get("clip_grad_norm") and settings.get("enable_scaler"):
        raise UserError(
            "clip_grad_norm and enable_scaler exclude each other: RecBole clips gradients "
            "while they are scaled, by 65536 at first. Leave out one of them."
        )


def _check_clipping(given):
    if given is None or given == {}:
        return
    is_dict = isinstance(given, dict) and "max_norm" in given
    if not (
        is_dict
        and set(given) <= set(_CLIPPING)
        and all(
            isinstance(given[name], (int, float)) and given[name] > 0
            for name in {"max_norm", "norm_type"} & set(given)
        )
    ):
        raise UserError(
            f"clip_grad_norm is {given!r}; it must be a dict such as {{'max_norm': 5, "
            f"'norm_type': 2}} with numbers above 0. It may have {', '.join(_CLIPPING)}."
        )


def check_places(settings: dict) -> None:
    """Raise a UserError if what a run writes could not be written when it is done.

    Args:
        settings (dict): Final settings, with ``checkpoint_dir``.
    """
    check_folder(settings["checkpoint_dir"], "checkpoint_dir")
    for name in ("export", "cache_dir"):
        if settings.get(name):
            check_folder(settings[name], name)
    for name in ("result_file", "unit_file"):
        if settings.get(name):
            path = Path(settings[name])
            if path.is_dir():
                raise UserError(f"{name} is {path}, a folder; give a file in it.")
            check_folder(path.parent, name)


def check_evaluation(settings: dict) -> None:
    """Raise a UserError if a metric does not exist or the validation metric is not computed.

    Args:
        settings (dict): Final settings, with ``metrics``, ``topk`` and ``valid_metric``.
    """
    topk, metrics = settings["topk"], settings["metrics"]
    topk = topk if isinstance(topk, (list, tuple)) else [topk]
    metrics = [metrics] if isinstance(metrics, str) else metrics
    for name in metrics:
        if str(name).lower() not in metrics_dict:
            raise UserError(
                f"There is no metric {name!r}.{did_you_mean(name, metrics_dict)} Those of "
                f"RecBole and of this package are {', '.join(sorted(metrics_dict))}."
            )
    _check_labels(settings["eval_args"].get("mode"), metrics)
    given = str(settings["valid_metric"])
    metric, at, k = given.lower().partition("@")
    computed = {str(name).lower() for name in metrics}
    if metric.removesuffix("_share") not in computed:  # of Violation
        raise UserError(
            f"valid_metric is {given}, but metrics are {', '.join(map(str, metrics))}. Add "
            f"{given.partition('@')[0]} to metrics, or choose one of them as valid_metric."
        )
    needed = metrics_dict[metric.removesuffix("_share")].metric_need
    of_lists = {"rec.topk", "rec.items", "rec.violation"} & set(needed)
    if of_lists and k not in map(str, topk):
        computed_at = " or ".join(f"{given.partition('@')[0]}@{k}" for k in topk)
        also = f", or set topk to {[*topk, int(k)]}" if k.isdigit() else ""
        raise UserError(
            f"valid_metric is {given}, but topk is {topk}: the metric for early stopping is "
            f"not computed. Set valid_metric to {computed_at}{also}."
        )
    if at and not of_lists:
        raise UserError(
            f"valid_metric is {given}, but {metric} is of all predictions: write it "
            "without @."
        )


def choose_direction(settings: dict, given: dict) -> None:
    """Set ``valid_metric_bigger``, which follows from the metric.

    Args:
        settings (dict): Final settings, which are changed.
        given (dict): What the user set.

    Raises:
        UserError: If the user set the opposite on a dataset with requests, or for a model
            of this package; RecBole ignores it.
    """
    metric = settings["valid_metric"].lower().partition("@")[0]
    # each figure of Violation has its direction
    bigger = metric.removesuffix("_share") not in smaller_metrics
    settings["valid_metric_bigger"] = bigger
    asked = given.get("valid_metric_bigger")
    if "known_at_test" in settings and asked not in (None, bigger):
        raise UserError(
            f"valid_metric_bigger is {asked}, but of {settings['valid_metric']} "
            f"{'more' if bigger else 'less'} is better. Leave valid_metric_bigger out: it "
            "follows from valid_metric."
        )


def _check_labels(mode, metrics):
    modes = mode.values() if isinstance(mode, dict) else [mode]
    ranking = [
        name
        for name in metrics
        if metrics_dict[str(name).lower()].metric_type == EvaluatorType.RANKING
    ]
    if "labeled" in modes and ranking:
        raise UserError(
            f"eval_args: mode is labeled, in which nothing is ranked, but metrics are "
            f"{', '.join(map(str, metrics))}, and {ranking[0]} is of ranked lists. Choose "
            "metrics of single predictions, such as [AUC, LogLoss], and valid_metric "
            "among them, or another mode."
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
    if type(config) is not Config:
        library = importlib.import_module(type(config).__module__.partition(".")[0])
        for folder in library.__path__:
            accepted.update(_settings_in(Path(folder)))
    ours = set().union(*layers)
    elsewhere = _settings_of_our_models()
    for name in sorted(unknown - accepted):
        if name in elsewhere:
            # accepted, as a benchmark passes it to all rows and LateFusion to all parts;
            # but a setting of WhisperLitePlus given to WhisperLite is a mistake
            other = elsewhere[name]
            value = config.external_config_dict[name]
            if not issubclass(find_model(other), model_class) or value is False:
                continue
            if value is True:
                # 0.1 had one model; a switch that says so is no reason to stop its users
                warnings.warn(
                    f"{name} is a setting of {other}. {model_class.__name__} goes on "
                    f"without it; version 0.3 will refuse it. Run --model={other} for it.",
                    FutureWarning,
                )
            else:
                raise UserError(
                    f"{name} is a setting of {other}, not of {model_class.__name__}. Run "
                    f"--model={other}, or leave {name} out."
                )
            continue
        if _is_of_another_program(config, name) and (
            name in SCRIPT_FLAGS or not did_you_mean(name, ours)
        ):
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
    is_ours, flags = Path(sys.argv[0]).name in OUR_PROGRAMS, config.cmd_config_dict
    if name in SCRIPT_FLAGS:
        return not (is_ours and name in flags)
    # the parts of LateFusion get the command line in a dict, too
    given = {**config.file_config_dict, **config.variable_config_dict}
    return not is_ours and (name in flags or name not in given)


def _recbole_settings():
    """Return all settings of RecBole's models, found in its yaml files and its source."""
    return _settings_in(RECBOLE)


def _settings_in(package):
    keys = set()
    for path in package.glob("properties/**/*.yaml"):
        keys.update(re.findall(r"^(\w+):", path.read_text("utf-8"), re.MULTILINE))
    for path in package.glob("**/*.py"):
        keys.update(re.findall(r"""config\[["'](\w+)["']\]""", path.read_text("utf-8")))
    return keys
