"""``--config_files``: a look into each before RecBole reads them."""

import yaml

from recbole_whisperlite.errors import UserError


def read_files(config_files):
    """Read yaml files.

    Args:
        config_files (str or None): Their names, separated by spaces.

    Returns:
        list of dict: The content of each.

    Raises:
        UserError: If one cannot be read or holds something else.
    """
    return [_read(file) for file in (config_files or "").split()]


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
    return content
