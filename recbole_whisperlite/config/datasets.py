"""Checks of the dataset's folder: does it exist, is it complete, does it fit the model?"""

from pathlib import Path

import recbole
import yaml
from recbole.config import Config
from recbole.data.dataset import Dataset

from recbole_whisperlite.data.atomic import read_header, refuse_nul
from recbole_whisperlite.data.columns import check_roles
from recbole_whisperlite.data.requests import BUILT_IN, has_requests
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.model.inputs import needs_requests

#: Settings of the split that a dataset without requests does not have, and what is none.
OF_REQUESTS = {"new_items": 0, "folds": 1}
RECBOLE = Path(recbole.__file__).parent


def check_dataset(config: Config | dict) -> None:
    """Build a built-in dataset if it is absent; check that any other is complete.

    Args:
        config (Config or dict): With ``dataset``, ``data_path``, the dataset's own folder,
            ``benchmark_filename`` and ``additional_feat_suffix``.

    Raises:
        UserError: If the folder does not exist and RecBole has no download for the
            name, if the ``.inter`` file or another file that the model reads is missing, or
            if a column is not of the type that its role needs.
    """
    name, folder = config["dataset"], Path(config["data_path"])
    if not folder.is_dir():
        if name in BUILT_IN:
            # imported only to build: drawing needs Pillow and a vocabulary
            from recbole_whisperlite import stylist_mini

            stylist_mini.build(folder)
            return
        urls = yaml.safe_load((RECBOLE / "properties/dataset/url.yaml").read_text())
        if name in urls:
            return
        found = sorted(
            path.name for path in folder.parent.glob("*/") if path.is_dir()
        ) or ["nothing"]
        built_in = [*BUILT_IN, "ml-100k"]
        raise UserError(
            f"There is no dataset '{name}': the folder {folder} does not exist."
            f"{did_you_mean(name, [*built_in, *found])} {folder.parent} contains "
            f"{', '.join(found)}; the built-in datasets are {', '.join(built_in)}. Set "
            "data_path to the folder that contains the dataset's folder."
        )
    if not config["benchmark_filename"] and not (folder / f"{name}.inter").is_file():
        files = sorted(path.name for path in folder.iterdir())
        raise UserError(
            f"{folder / f'{name}.inter'}: this file does not exist; the folder contains "
            f"{', '.join(files[:20]) or 'nothing'}. The interactions of dataset "
            f"'{name}' belong in {name}.inter."
        )
    _check_parts(name, folder, config["benchmark_filename"])
    settings = getattr(config, "final_config_dict", config)
    if not has_requests(name, folder, settings.get("request_template")):
        # those of a dataset with requests are checked when they are read, once
        for suffix in ("inter", "user", "item"):
            for file in sorted(folder.glob(f"{name}*.{suffix}")):
                separator = settings.get("field_separator") or "\t"
                encoding = settings.get("encoding") or "utf-8"
                check_roles(file, read_header(file, separator, encoding), settings)
                refuse_nul(file)
    for suffix in config["additional_feat_suffix"] or ():
        file = folder / f"{name}.{suffix}"
        if not file.is_file():
            raise UserError(
                f"{file}: this file does not exist, but {config['model']} reads it "
                "(additional_feat_suffix). Create it, or use a model that does not need "
                "it."
            )


def _check_parts(name, folder, parts):
    if parts is None:
        return
    if not (isinstance(parts, (list, tuple)) and len(parts) == 3):
        raise UserError(
            f"benchmark_filename is {parts!r}; it must be a list of three names, those of "
            f"training, validation and test: ['train', 'valid', 'test'] reads "
            f"{name}.train.inter, {name}.valid.inter and {name}.test.inter."
        )
    for part in parts:
        file = folder / f"{name}.{part}.inter"
        if not file.is_file():
            files = sorted(path.name for path in folder.glob("*.inter"))
            raise UserError(
                f"{file}: this file does not exist, but benchmark_filename names it; the "
                f"folder contains {', '.join(files) or 'no .inter file'}."
            )


def check_labels(config: Config, dataset: Dataset) -> None:
    """Raise a UserError if labels are to be evaluated, and the dataset has none.

    Args:
        config (Config): With ``eval_args`` and ``LABEL_FIELD``.
        dataset (Dataset): The dataset.
    """
    modes, label = config["eval_args"]["mode"], config["LABEL_FIELD"]
    if "labeled" in modes.values() and label not in dataset.inter_feat:
        raise UserError(
            f"eval_args: mode is labeled, but '{dataset.dataset_name}' has no column "
            f"'{label}' among those that are read. Name it in load_col, make labels of a "
            "rating with threshold, or choose another mode, such as full."
        )


def check_features(config: Config, dataset: Dataset) -> None:
    """Raise a UserError if a model of RecBole's takes features that the items do not have.

    Its yaml files name a column of MovieLens.

    Args:
        config (Config): With ``selected_features`` or ``item_attribute``, if the model
            has them.
        dataset (Dataset): The dataset.
    """
    columns = [] if dataset.item_feat is None else list(dataset.item_feat.columns)
    columns = [name for name in columns if name != dataset.iid_field]
    for name in ("selected_features", "item_attribute"):
        given = config[name] or ()
        given = [given] if isinstance(given, str) else given
        missing = [each for each in given if each not in columns]
        if missing:
            has = f"has {', '.join(columns)}" if columns else "is not read"
            raise UserError(
                f"{config['model']} reads the column {missing[0]} of .item ({name}), but "
                f"{dataset.dataset_name}.item {has}. Set {name} to columns that there are, "
                "and let load_col, if it is set, read them."
            )


def check_no_requests_needed(config: Config) -> None:
    """Raise a UserError if the model ranks items for a request, or the split is of requests.

    Args:
        config (Config): That of the run, whose dataset has no requests.
    """
    refuse_without_requests(config.model_class, config.final_config_dict)


def refuse_without_requests(model_class: type, settings: dict) -> None:
    """Raise a UserError if the dataset has no requests, and the model ranks items for one
    or the settings split them.

    Args:
        model_class (type): The model.
        settings (dict): With ``dataset``, ``data_path`` (the dataset's own folder) and
            ``request_template``.
    """
    name, folder = settings["dataset"], Path(settings["data_path"])
    needed = needs_requests(model_class, settings)  # checks what the model declares
    if has_requests(name, folder, settings.get("request_template")):
        return
    for setting, plain in OF_REQUESTS.items():
        if settings.get(setting) not in (None, plain):
            raise UserError(
                f"{setting} is {settings[setting]!r}, but the dataset '{name}' has no "
                f"requests ({folder / f'{name}.request'} does not exist), and RecBole's "
                f"own split knows no {setting}. Remove it, or compose requests from "
                "columns of the item with request_template."
            )
    if not needed:
        return
    inter = folder / f"{name}.inter"
    if model_class.__name__ == "WhisperLite" and inter.is_file():
        header = read_header(inter, settings.get("field_separator") or "\t")
        if settings.get("REQUEST_FIELD", "request") in header:
            return  # each row has the text of its request: WhisperLiteDataset reads it
    raise UserError(
        f"{model_class.__name__} ranks items for a request, but the dataset '{name}' has "
        f"none: {folder / f'{name}.request'} does not exist. Create it (columns "
        "request_id:token, request:token) and add the column request_id to the .inter "
        "file, or compose requests from columns of the item with request_template."
    )
