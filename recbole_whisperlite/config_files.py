"""Settings of a command line: ``--config_files``, presets by name among them, each checked
before RecBole reads it, and the form of ``--key=value``."""

import os
from pathlib import Path

import yaml

from recbole_whisperlite import own_code
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.paths import PROPERTIES


def presets() -> list[str]:
    """Return the sorted names of the presets that come with the package."""
    return sorted(path.stem for path in (PROPERTIES / "experiment").glob("*.yaml"))


def find(file: str | os.PathLike) -> str:
    """Return the path of a settings file.

    Args:
        file (str or Path): A path, or the name of a preset such as ``whisperlite-paper``.

    Raises:
        UserError: If there is neither; the message lists the presets.
    """
    if os.path.isfile(file):
        return os.fspath(file)
    path = PROPERTIES / "experiment" / f"{Path(file).name.removesuffix('.yaml')}.yaml"
    if Path(file).name == str(file) and path.is_file():
        return str(path)
    raise UserError(
        f"config_files: there is no file '{file}' and no preset of that name."
        f"{did_you_mean(Path(file).stem, presets())} Presets are {', '.join(presets())}."
    )


def check_dataset_name(name: str) -> None:
    """Raise a UserError if the name of a dataset leads to another folder.

    RecBole reads settings from ``<name>.yaml`` beside its own, without the checks of a
    settings file.

    Args:
        name (str): The setting ``dataset``.
    """
    if Path(name).name != name or "\\" in name:
        raise UserError(
            f"dataset is '{name}'; it must be the name of a folder, not a path. Set "
            "data_path to the folder in which it is."
        )


def read_files(config_files: str | None) -> list[dict]:
    """Read settings files.

    Args:
        config_files (str or None): Paths or names of presets, separated by spaces.

    Returns:
        list of dict: The content of each.

    Raises:
        UserError: If one cannot be read, is not a mapping of settings, or names custom
            code without the user's word.
    """
    return [_read(find(file)) for file in (config_files or "").split()]


def _read(file):
    try:
        with open(file, encoding="utf-8") as stream:
            content = yaml.safe_load(stream)
    except OSError as error:
        raise UserError(f"config_files: {file}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"config_files: {file} is not yaml: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"config_files: {file} holds no 'key: value' lines.")
    own_code.check_named(content, file)
    return content


def check_flags(flags: list[str]) -> None:
    """Raise a UserError if the rest of a command line is not all ``--key=value``."""
    for number, flag in enumerate(flags):
        key, equals, _ = flag.partition("=")
        if key.startswith("--") and not equals:
            value = flags[number + 1] if number + 1 < len(flags) else "value"
            raise UserError(
                f"'{key}' has no value: settings are given as --key=value, without a "
                f"space. Write {key}={value}."
            )
        if not key.startswith("--"):
            raise UserError(
                f"'{flag}' is neither a flag nor a setting: settings are given as "
                "--key=value, without spaces."
            )
