"""Exported models on the Hugging Face Hub."""

from __future__ import annotations

import os
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.folder import CARD, CONFIG, ModelFolder

PREFIX = "hf-hub:"
# Nothing else that a repository may hold is downloaded.
_FILES = ["*.json", "*.md", "*.npy", "*.npz", "*.parquet", "*.safetensors"]


def download(
    name: str, revision: str | None = None, cache_dir: str | os.PathLike | None = None
) -> Path:
    """Return the folder of a model, downloaded if need be.

    Args:
        name (str): ``<owner>/<name>``, with or without ``hf-hub:``.
        revision (str, optional): A branch, tag or commit.
        cache_dir (str or Path, optional): Where downloads are kept.

    Raises:
        UserError: If it cannot be downloaded.
    """
    from huggingface_hub import snapshot_download

    name = name.removeprefix(PREFIX)
    try:
        folder = snapshot_download(
            name, revision=revision, cache_dir=cache_dir, allow_patterns=_FILES
        )
        return Path(folder)
    except Exception as error:
        # the library raises its own errors, those of its network library, and ValueError
        raise UserError(
            f"{PREFIX}{name} could not be downloaded: {_reason(error)} Without a network, "
            "copy the model's folder here and load it by its path."
        ) from error


def upload(folder: Path, name: str, private: bool, token: str | None) -> str:
    """Upload a model, and return its address.

    Args:
        folder (Path): The exported model; only its own files are uploaded.
        name (str): ``<owner>/<name>``, with or without ``hf-hub:``.
        private (bool): Whether a new repository is private.
        token (str or None): By default the one that ``hf auth login`` stored.

    Raises:
        UserError: If the model is damaged or cannot be uploaded.
    """
    from huggingface_hub import HfApi

    name = name.removeprefix(PREFIX)
    files = ModelFolder(folder).config["files"]
    own = [CONFIG, CARD, *(entry["stored"] for entry in files.values())]
    api = HfApi(token=token)
    try:
        api.create_repo(name, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=own,
            delete_patterns="*",
            commit_message="Model exported by recbole-whisperlite",
        )
    except Exception as error:
        raise UserError(
            f"{PREFIX}{name} could not be uploaded: {_reason(error)} Log in with: hf auth "
            "login"
        ) from error
    return str(getattr(done, "repo_url", None) or f"{PREFIX}{name}")


def _reason(error):
    return " ".join(str(error).split())[:300].rstrip(".") + "."
