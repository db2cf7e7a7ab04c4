"""The data of a benchmark: where they are, and whether they have changed."""

from pathlib import Path

import yaml

from recbole_whisperlite import own_code
from recbole_whisperlite.benchmark.inputs import defaults
from recbole_whisperlite.benchmark.plan import Plan, Row
from recbole_whisperlite.config import datasets
from recbole_whisperlite.config.settings import known_settings
from recbole_whisperlite.data.requests import has_requests as folder_has_requests
from recbole_whisperlite.encoder import own_encoder
from recbole_whisperlite.encoder.options import each_encoder
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.metric import metric_names
from recbole_whisperlite.files import digest_of_dataset
from recbole_whisperlite.model.own import files, model_class


def folder(plan: Plan, row: Row) -> Path:
    """Return the folder from which RecBole will read the dataset of a row."""
    if plan.dataset == "ml-100k":  # bundled with RecBole, which then ignores data_path
        return datasets.RECBOLE / "dataset_example" / plan.dataset
    return Path(str(settings_of(plan, row).get("data_path", "dataset"))) / plan.dataset


def files_of(plan: Plan, row: Row) -> list[Path]:
    """Return the dataset's files, of which :func:`digest` is made."""
    found = folder(plan, row).glob(f"{plan.dataset}.*")
    return sorted(path for path in found if path.is_file())


def has_requests(plan: Plan, row: Row) -> bool:
    """Return whether the dataset of a row has requests."""
    template = settings_of(plan, row).get("request_template")
    return folder_has_requests(plan.dataset, folder(plan, row), template)


def check(plan: Plan) -> None:
    """Check models and data before any run; build a built-in dataset that is missing.

    Args:
        plan (Plan): The benchmark.

    Raises:
        UserError: If a model, or an encoder or metric of the user's own, does not exist,
            the dataset's folder does not exist and RecBole has no download for it, the
            folder has no ``.inter`` file, or a model needs requests and the dataset has
            none.
    """
    for row in plan.rows:
        settings = settings_of(plan, row)
        found = model_class(row.model)
        metric_names(settings.get("metrics", []))
        own_files(plan, row)
        try:
            about = {
                **settings,
                "dataset": plan.dataset,
                "data_path": folder(plan, row),
                "benchmark_filename": settings.get("benchmark_filename"),
                # files for a single model: if they are missing, only its row fails
                "additional_feat_suffix": None,
            }
            datasets.check_dataset(about)
            datasets.refuse_without_requests(found, about)
        except UserError as error:
            raise UserError(
                f"No model was run. {error} 'recbole-whisperlite prepare' converts "
                "public datasets; its --help lists them."
            ) from None


def digest(plan: Plan, row: Row) -> str:
    """Return a digest of the dataset's files: 16 hexadecimal digits of a SHA-256.

    The fingerprint of a test set does not cover texts, so it may stay the same when the
    data are prepared differently.
    """
    return digest_of_dataset(folder(plan, row), plan.dataset)[:16]


def own_files(plan, row) -> list[Path]:
    """Return the files with code of the user's own that a row stands on.

    Raises:
        UserError: If a class of the user's own cannot be imported.
    """
    given = settings_of(plan, row)
    encoders = each_encoder(given) if given.get("encoder") else []
    named = [each["encoder"] for each in encoders]
    own = [own_encoder(name) for name in named if own_code.is_named(name)]
    return files(row.model) + [path for each in own for path in own_code.sources(each)]


def foreign_settings(plan, row) -> set[str]:
    """Return what is set for all rows but belongs to a user's own model of another row.

    A run that does not know that model would take it for a mistake.
    """
    others = {
        other.model
        for other in plan.rows
        if own_code.is_named(other.model) and other.model != row.model
    }
    theirs = {key for model in others for key in defaults(model)}
    foreign = theirs.intersection({*plan.settings, *_flags(plan)})
    foreign -= defaults(row.model).keys()
    return foreign - known_settings() if foreign else set()


def _flags(plan):
    flags = (flag.removeprefix("--").partition("=") for flag in plan.flags)
    return {key: yaml.safe_load(value) for key, _, value in flags}


def settings_of(plan, row):
    """Return the settings of a row that are known before it runs."""
    return {**defaults(row.model), **plan.settings, **row.settings, **_flags(plan)}
