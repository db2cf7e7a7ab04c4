"""The dataset's folder: is it there, is it whole, does it fit the model?"""

from pathlib import Path

import recbole
import yaml

from recbole_whisperlite.data.atomic import read_header
from recbole_whisperlite.data.requests import BUILT_IN, has_requests
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.model.inputs import needs_requests

RECBOLE = Path(recbole.__file__).parent


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
        if name in BUILT_IN:
            # drawing needs Pillow and a vocabulary: imported only to build
            from recbole_whisperlite import stylist_mini

            stylist_mini.build(folder)
            return
        urls = yaml.safe_load((RECBOLE / "properties/dataset/url.yaml").read_text())
        if name in urls:
            return
        here = sorted(
            path.name for path in folder.parent.glob("*/") if path.is_dir()
        ) or ["nothing"]
        built_in = [*BUILT_IN, "ml-100k"]
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


def check_model_needs_no_requests(config) -> None:
    """Raise a UserError if the model ranks for requests and the dataset has none.

    Args:
        config (Config): Of the run; its dataset has no requests.
    """
    refuse_without_requests(config.model_class, config.final_config_dict)


def refuse_without_requests(model_class: type, settings: dict) -> None:
    """Raise a UserError if a model ranks for requests and the dataset has none.

    Args:
        model_class (type): The model.
        settings (dict): With ``dataset``, ``data_path`` (the dataset's own folder) and
            ``request_template``.
    """
    name, folder = settings["dataset"], Path(settings["data_path"])
    template = settings.get("request_template")
    if not needs_requests(model_class, settings) or has_requests(
        name, folder, template
    ):
        return
    inter = folder / f"{name}.inter"
    if model_class.__name__ == "WhisperLite" and inter.is_file():
        header = read_header(inter, settings.get("field_separator") or "\t")
        if settings.get("REQUEST_FIELD", "request") in header:
            return  # each row has its request's text, as WhisperLiteDataset reads it
    raise UserError(
        f"{model_class.__name__} ranks items for a request, but the dataset '{name}' has "
        f"none: {folder / f'{name}.request'} does not exist. Write it (columns "
        "request_id:token, request:token) and name the request_id in the .inter file, or "
        "compose requests from columns of the item with request_template."
    )
