"""Settings of the encoders, checked before anything is loaded."""

import os
from pathlib import Path

from recbole_whisperlite.errors import UserError, did_you_mean


def setting(config, name):
    """Return ``config[name]``, None where it is not set.

    Args:
        config (Config or dict): RecBole's ``Config`` answers None to unknown names, a
            dict does not.
        name (str): The setting.
    """
    return config[name] if name in config else None


def choice(config, name, accepted):
    """Return the setting ``name``, which must be one of ``accepted``.

    Raises:
        UserError: If it is not; what is accepted is listed.
    """
    value = setting(config, name)
    if value not in accepted:
        raise UserError(
            f"{name}: '{value}' does not exist.{did_you_mean(value, accepted)} "
            f"Accepted are {', '.join(accepted)}."
        )
    return value


def positive_int(config, name):
    """Return the setting ``name``, which must be a whole number of at least 1.

    Raises:
        UserError: If it is not.
    """
    value = setting(config, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"{name}: a whole number of at least 1 is needed, not {value}.")
    return value


def cache_folder(config):
    """Return the folder in which vectors are cached, as a Path that may not exist yet.

    It is the setting ``cache_dir``, or ``recbole-whisperlite`` where the user's caches
    lie (XDG Base Directory Specification).
    """
    folder = setting(config, "cache_dir")
    if folder is None:
        caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = Path(caches) / "recbole-whisperlite"
    return Path(folder).expanduser()


class OneEncoder:
    """The settings, with one of several encoders.

    Args:
        config (Config or dict): The settings.
        name (str): The encoder.
    """

    def __init__(self, config, name):
        self._config, self._name = config, name

    def __contains__(self, key):
        return key in self._config

    def __getitem__(self, key):
        return self._name if key == "encoder" else self._config[key]


def each_encoder(config):
    """Return the settings once for each encoder that they name.

    ``encoder`` is a name, or a list of names, or names separated by commas.

    Raises:
        UserError: If one is named twice, or none is.
    """
    given = setting(config, "encoder")
    names = given if isinstance(given, (list, tuple)) else str(given).split(",")
    names = [str(name).strip() for name in names]
    if not names or len(set(names)) < len(names):
        raise UserError(
            f"encoder: {given} names {'one twice' if names else 'none'}. Accepted is a "
            "name, or a list of different names."
        )
    return [OneEncoder(config, name) for name in names]
