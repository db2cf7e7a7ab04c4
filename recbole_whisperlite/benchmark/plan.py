"""What to run: rows and seeds, from yaml files and the command line.

A benchmark yaml is an ordinary RecBole settings file, which applies to all models, with
these additional keys (``docs/benchmark.md`` explains them)::

    dataset: hm
    seeds: [2020, 2021, 2022]   # default: seed
    output: results/hm          # default: results/<dataset>
    reference: WhisperLitePlus  # row the others are tested against; default: the best
    tune: 20                    # tuning trials per model; default: 0
    tune_users: 0.2             # share of the users that are tuned on; default: 1
    cluster: local:2            # where runs are tasks; default: here, one after another
    task_memory: 4GB            # with a cluster: what a run needs; default: an estimate
    models:                     # rows, in this order
      BPR:
        learning_rate: 0.005    # any settings, for this row only
        tune: {learning_rate: [0.001, 0.005], embedding_size: [32, 64]}
      cosine:                   # a row may have any name, if
        model: WhisperLite      #   model names the model
        contrastive: cosine
      Mine:
        class: shop_models.mine:MyModel   # your own model, as module:Class
        inputs: [request, item text]      # if its class does not state them
      NGCF:
        seeds: 1                # only the first of the seeds
        note: Hours a run on a CPU, so one seed.   # stands below the table
        task_memory: 12GB       # of this row
"""

import argparse
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from recbole_whisperlite import own_code
from recbole_whisperlite.cluster import options
from recbole_whisperlite.config_files import (
    check_dataset_name,
    check_flags,
    read_files,
)
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.paths import PROPERTIES

FLAGS = (
    "model dataset config_files seeds output reference tune tune_users cluster task_memory"
).split()
#: Settings that the benchmark chooses for each run.
OURS = ("result_file", "unit_file", "checkpoint_dir", "seed", "tuning_trial")


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name (str): Its name in the tables.
        model (str): The model's name, or ``module:Class`` for the user's own model.
        settings (dict): Settings for this row only, from the benchmark yaml.
        ranges (dict): ``{setting: list of values}`` to tune over.
        inputs (list of str or None): The inputs of the model, if the yaml states them.
        tune_users (float): The share of the users that it is tuned on.
        seeds (int or None): It runs with this many of the seeds, the first ones; None
            for all.
        note (str or None): What a reader of the table has to know about this row.
        task_memory (int or None): Bytes that a run needs; None if the yaml does not say.
    """

    name: str
    model: str
    settings: dict = field(default_factory=dict)
    ranges: dict = field(default_factory=dict)
    inputs: list[str] | None = None
    tune_users: float = 1.0
    seeds: int | None = None
    note: str | None = None
    task_memory: int | None = None


@dataclass(frozen=True)
class Plan:
    """A benchmark: what to run, and how.

    Attributes:
        dataset (str): The name of the dataset.
        rows (list of Row): In the order in which they run.
        seeds (list of int): Each row runs once with each seed.
        output (Path): The folder for the results.
        reference (str or None): Name of the row that the others are tested against;
            None for the best.
        trials (int): Tuning trials for each model; 0 for none.
        settings (dict): Common to all rows, from the yaml files.
        flags (list of str): ``--key=value`` of the command line; they take precedence
            over all files, as in RecBole.
        command (list of str): The whole command line.
        cluster (str or None): Where runs are tasks; None for here, one after another.
        task_memory (int or None): Bytes that a run of any row needs; None if not said.
    """

    dataset: str
    rows: list[Row]
    seeds: list[int]
    output: Path
    reference: str | None
    trials: int
    settings: dict
    flags: list[str]
    command: list[str]
    cluster: str | None = None
    task_memory: int | None = None

    def rows_with(self, tuned: dict[str, dict]) -> list[Row]:
        """Return the rows, updated with tuned settings (``{row name: settings}``)."""
        return [
            replace(row, settings={**row.settings, **tuned.get(row.name, {})})
            for row in self.rows
        ]


def is_benchmark(argv: list[str]) -> bool:
    """Return whether arguments of ``recbole-whisperlite run`` ask for a benchmark."""
    args, _ = _parser().parse_known_args(argv)
    several = args.model and "," in args.model
    asked = (args.seeds, args.output, args.reference, args.tune, args.tune_users)
    asked += (args.cluster,)
    if several or any(value is not None for value in asked):
        return True
    return any("models" in content for content in read_files(args.config_files))


def make_plan(argv: list[str]) -> Plan:
    """Read the command line and the yaml files.

    Args:
        argv (list of str): ``--model=A,B --dataset --config_files --seeds=1,2
            --output --reference --tune --cluster``; every other ``--key=value`` is a setting for
            all models.

    Returns:
        Plan: What to run.

    Raises:
        UserError: If no models are given, the reference is not a row, or a flag or a
            key of a yaml file is malformed.
    """
    args, flags = _parser().parse_known_args(argv)
    settings, models = {}, {}
    for content in read_files(args.config_files):
        for name, section in _sections(content.pop("models", {})).items():
            models.setdefault(name, {}).update(section)
        settings.update(content)
    given = {name: settings.pop(name) for name in FLAGS if name in settings}
    given.update({name: v for name, v in vars(args).items() if v is not None})
    flags = _check_flags(flags)
    seed = settings.pop("seed", 2020)
    dataset = str(given.get("dataset", "stylist-mini"))
    check_dataset_name(dataset)
    settings = {**_of_dataset(dataset), **settings}
    for name in _listed(given.get("model", [])):
        if ":" in name:  # the user's own model; its row is named after its class
            of_row = models.setdefault(_row_name(name), {})
            if of_row.setdefault("class", name) != name:
                raise UserError(
                    f"{name} and {of_row['class']} would be rows of one name. Give them "
                    f"names in a yaml file: 'models: {{first: {{class: {name}}}}}'."
                )
    names = (
        [*map(_row_name, _listed(given["model"]))] if "model" in given else [*models]
    )
    if not names:
        raise UserError(
            "A benchmark needs models: list them with --model=A,B or in the section "
            "'models:' of a yaml file given with --config_files."
        )
    of_users = {"tune_users": given.get("tune_users", 1)}
    rows = [
        _row(name, {**of_users, **models.get(name, {})})
        for name in dict.fromkeys(names)
    ]
    trials = _integers("tune", [given.get("tune", 0)], at_least=0)[0]
    if trials and not any(row.ranges for row in rows):
        raise UserError(
            f"tune is {trials}, but no model has ranges to tune over. Add them to a "
            "yaml file: 'models: {BPR: {tune: {learning_rate: [0.001, 0.005]}}}'."
        )
    output = given.get("output") or Path("results") / dataset
    if "output" in given and not isinstance(given["output"], (str, type(None))):
        raise UserError(f"output: {output!r} must be the name of a folder.")
    reference = given.get("reference")
    if reference is not None and reference not in (*names, *models):
        raise UserError(
            f"reference: there is no row '{reference}'."
            f"{did_you_mean(reference, names)} The rows are {', '.join(names)}."
        )
    cluster = given.get("cluster")
    if cluster is not None:
        options.workers_of(cluster)  # raises before any work if it is none
    if reference not in names:  # in the yaml, but not among --model
        reference = None
    return Plan(
        dataset=dataset,
        rows=rows,
        seeds=_integers("seeds", _listed(given.get("seeds", [seed])), at_least=0),
        output=Path(output),
        reference=reference,
        trials=trials,
        settings={key: settings[key] for key in settings if key not in OURS},
        flags=flags,
        command=[
            *argv,
            *(["--own-code"] if own_code.ENVIRONMENT in os.environ else []),
        ],
        cluster=cluster,
        task_memory=options.memory_of(given.get("task_memory"), "task_memory"),
    )


def _parser():
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite benchmark",
        description="Train and test several models on the same requests and write "
        "tables and a report. Finished runs are kept, so the same command continues an "
        "interrupted benchmark.",
        epilog="Every setting of RecBole and WhisperLite can be given as --key=value; "
        "it then applies to all models. With --own-code the yaml files may name modules "
        "of your own, as module:Class.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--model",
        "-m",
        help="names of models, separated by commas; your own models as module:Class",
    )
    parser.add_argument(
        "--dataset", "-d", help="name of the dataset (default: stylist-mini)"
    )
    parser.add_argument(
        "--config_files", help="yaml files or names of presets, separated by spaces"
    )
    parser.add_argument("--seeds", help="random seeds, separated by commas")
    parser.add_argument(
        "--output", help="folder for the results (default: results/<dataset>)"
    )
    parser.add_argument(
        "--reference", help="row that the others are tested against (default: the best)"
    )
    parser.add_argument(
        "--tune",
        help="number of tuning trials per model, judged by the validation metric "
        "(default: 0)",
    )
    parser.add_argument(
        "--tune_users",
        help="share of the users that models are tuned on, such as 0.2 (default: 1)",
    )
    options.add_options(parser)
    return parser


def _sections(models):
    if isinstance(models, list):
        models = dict.fromkeys(models)
    if not isinstance(models, dict):
        raise UserError(
            "models: must be a list of models, or contain a section for each, such as "
            f"'BPR: {{learning_rate: 0.005}}', not {models!r}."
        )
    for name, section in models.items():
        if not isinstance(section, (dict, type(None))):
            raise UserError(
                f"models: {name}: must contain 'key: value' pairs, not {section!r}."
            )
    return {str(name): section or {} for name, section in models.items()}


def _row(name, section):
    section = dict(section)
    model = section.pop("model", None)
    model = str(section.pop("class", None) or model or name)
    if "/" in name or name.startswith("."):
        raise UserError(
            f"models: the row name '{name}' must not contain '/' or start with '.'."
        )
    users = _share(name, section.pop("tune_users"))
    ranges = section.pop("tune", None) or {}
    if not isinstance(ranges, dict):
        raise UserError(
            f"models: {name}: tune: must contain 'setting: [values to try]' pairs, not "
            f"{ranges!r}."
        )
    for key, values in ranges.items():
        if not isinstance(values, list) or not values:
            raise UserError(
                f"models: {name}: tune: {key} must be a list of values to try, not "
                f"{values!r}."
            )
    inputs = section.pop("inputs", section.pop("sees", None))  # sees: its old name
    if inputs is not None:
        inputs = [str(part) for part in _listed(inputs)]
    seeds = section.pop("seeds", None)
    if seeds is not None:
        seeds = _integers(f"models: {name}: seeds", [seeds], at_least=1)[0]
    note = section.pop("note", None)
    if not isinstance(note, (str, type(None))):
        raise UserError(f"models: {name}: note: {note!r} must be a text.")
    memory = options.memory_of(
        section.pop("task_memory", None), f"models: {name}: task_memory"
    )
    for key in OURS:
        if key in section:
            raise UserError(f"models: {name}: {key} is set by the benchmark itself.")
    return Row(name, model, section, ranges, inputs, users, seeds, note, memory)


def _share(name, value):
    try:
        share = float(str(value))  # via str, because float() also accepts True
    except ValueError:
        share = 0
    if not 0 < share <= 1:
        raise UserError(
            f"models: {name}: tune_users: {value!r} must be a share of the users, above "
            "0 and at most 1, such as 0.2."
        )
    return share


def _row_name(model):
    return model.rpartition(":")[2]


def _of_dataset(dataset):
    """Return this package's settings for a dataset; they apply to all rows."""
    path = PROPERTIES / "dataset" / f"{dataset}.yaml"
    return yaml.safe_load(path.read_text("utf-8")) if path.is_file() else {}


def _check_flags(flags):
    check_flags(flags)
    for flag in flags:
        key = flag.partition("=")[0]
        if key[2:] in OURS:
            instead = "; use --seeds" if key == "--seed" else ""
            raise UserError(f"{key} is set by the benchmark itself{instead}.")
    return flags


def _listed(value):
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _integers(name, values, at_least):
    try:
        # via str, because int() also accepts 1.5 and True
        numbers = [int(str(value)) for value in values]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < at_least:
        raise UserError(f"{name}: {values} must be integers, {at_least} or greater.")
    return list(dict.fromkeys(numbers))
