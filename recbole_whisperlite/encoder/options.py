"""Settings of the encoders, checked before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_whisperlite.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from recbole.config import Config


def setting(config: Config | dict | OneEncoder, name: str) -> Any:
    """Return ``config[name]``, or None where it is not set.

    Args:
        config (Config, dict or OneEncoder): RecBole's ``Config`` returns None for
            unknown names, a dict does not.
        name (str): The setting.
    """
    return config[name] if name in config else None


def choice(
    config: Config | dict | OneEncoder, name: str, accepted: Collection[str]
) -> str:
    """Return the setting ``name``, which must be one of ``accepted``.

    Raises:
        UserError: If it is not; the message lists the accepted values.
    """
    value = setting(config, name)
    if value not in accepted:
        raise UserError(
            f"{name}: '{value}' does not exist.{did_you_mean(value, accepted)} "
            f"Accepted: {', '.join(accepted)}."
        )
    return value


def positive_int(config: Config | dict | OneEncoder, name: str) -> int:
    """Return the setting ``name``, which must be an integer of at least 1.

    Raises:
        UserError: If it is not.
    """
    value = setting(config, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{name}: must be an integer of at least 1, not {value}.")
    return value


def cache_folder(config: Config | dict | OneEncoder) -> Path:
    """Return the folder in which vectors are cached; it may not exist yet.

    It is the setting ``cache_dir``, by default ``recbole-whisperlite`` in the user's
    cache directory (XDG Base Directory Specification).

    Raises:
        UserError: If this user has no home folder, as in some containers.
    """
    folder = setting(config, "cache_dir")
    if folder is None:
        caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(caches) / "recbole-whisperlite"
    try:
        return Path(folder).expanduser()
    except RuntimeError:
        raise UserError(
            "This user has no home folder to cache vectors in (HOME is not set). Set "
            "cache_dir, or the environment variable XDG_CACHE_HOME, to a writable folder."
        ) from None


class OneEncoder:
    """The settings, reduced to one of several encoders.

    Args:
        config (Config, dict or OneEncoder): The settings.
        name (str): The encoder.
    """

    def __init__(self, config: Config | dict | OneEncoder, name: str):
        self._config, self._name = config, name

    def __contains__(self, key: str) -> bool:
        return key in self._config

    def __getitem__(self, key: str) -> Any:
        return self._name if key == "encoder" else self._config[key]


def each_encoder(config: Config | dict | OneEncoder) -> list[OneEncoder]:
    """Return the settings once for each encoder that they name.

    ``encoder`` is a name, a list of names, or names separated by commas.

    Raises:
        UserError: If an encoder is named twice, or none is named.
    """
    given = setting(config, "encoder")
    names = given if isinstance(given, (list, tuple)) else str(given).split(",")
    names = [str(name).strip() for name in names]
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"encoder: {given} names {'one twice' if names else 'none'}. Give a name, or "
            "a list of distinct names."
        )
    return [OneEncoder(config, name) for name in names]
