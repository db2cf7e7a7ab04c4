"""What the files of a dataset's folder say of each other, checked without RecBole.

Every interaction's item has a text, every request too, and ``<name>.request.json`` says
where the requests come from.
"""

import json
import os
from itertools import repeat

import pandas as pd

from recbole_whisperlite.data.texts import TextFile, join_fields
from recbole_whisperlite.errors import UserError


def texts_of_items(
    file: TextFile, columns: list[str], items: pd.Series, inter: str | os.PathLike
) -> dict[str, str]:
    """Return the text of every item of the catalogue, ``""`` if it has none.

    Args:
        file (TextFile): The ``.item`` file.
        columns (list of str): Its columns that make up the text.
        items (pandas.Series): The item of each interaction, str; the index is the row of
            ``.inter``, row 0 is line 2.
        inter (str or Path): The ``.inter`` file, for messages.

    Raises:
        UserError: If the item of an interaction is not in the file, or has no text.
    """
    distinct = items.drop_duplicates()
    unknown = distinct[~distinct.isin(file.frame.index)]
    if len(unknown):
        raise UserError(
            f"{inter}, line {unknown.index[0] + 2}: the item '{unknown.iloc[0]}' is not in "
            f"{file.path}. Add its line there, or remove its interactions."
        )
    # not itertuples, which yields nothing where there is no column
    values = zip(*(file.frame[column] for column in columns)) if columns else repeat(())
    texts = {id_: join_fields(row) for id_, row in zip(file.frame.index, values)}
    used = set(distinct)
    for item, text in texts.items():
        if not text and item in used:
            reason = (
                f"{', '.join(columns)} are empty" if columns else "no column is one"
            )
            raise UserError(
                f"{file.path}, line {file.line(item)}: the item '{item}' has no text: "
                f"{reason}. Fill one, or choose other columns with item_text_fields."
            )
    return texts


def texts_of_requests(
    file: TextFile, field: str, requests: pd.Series, inter: str | os.PathLike
) -> dict[str, str]:
    """Return the text of every request, as it was written.

    Args:
        file (TextFile): The ``.request`` file, with a column ``field``.
        field (str): Its column of texts.
        requests (pandas.Series): The request of each interaction that has one, str; the
            index is the row of ``.inter``, row 0 is line 2.
        inter (str or Path): The ``.inter`` file, for messages.

    Raises:
        UserError: If the request of an interaction is not in the file, or has no text.
    """
    texts = file.frame[field]
    distinct = requests.drop_duplicates()
    is_known = distinct.isin(texts.index)
    is_blank = distinct.isin(texts.index[texts.str.strip() == ""])
    wrong = distinct[is_blank | ~is_known]
    if len(wrong):
        row, id_ = wrong.index[0], wrong.iloc[0]
        if not is_known[row]:
            raise UserError(
                f"{inter}, line {row + 2}: the {requests.name} '{id_}' is not in "
                f"{file.path}. Add its text there, or remove the interaction."
            )
        raise UserError(
            f"{file.path}, line {file.line(id_)}: the request '{id_}' has no text. "
            "Write it, or remove the request and its interactions."
        )
    return dict(zip(texts.index, texts))


def origin(request_file: str | os.PathLike) -> tuple[str | None, str | None]:
    """Return where requests come from, as ``<name>.request.json`` beside them says.

    Args:
        request_file (str or Path): The ``.request`` file.

    Returns:
        tuple: The template if they are composed from columns of the target item, and their
        kind, such as ``review`` or ``tag``; None where nothing is noted.

    Raises:
        UserError: If the note is no JSON object.
    """
    about = _about(f"{request_file}.json")
    return about.get("template") if about.get("composed") else None, about.get("kind")


def revealed(name: str, composed_from: str | None, kind: str | None) -> list[str]:
    """Return what must be stated along with any result, as sentences; mostly none.

    Args:
        name (str): The dataset.
        composed_from (str or None), kind (str or None): From :func:`origin`.
    """
    sentences = []
    if composed_from:
        sentences.append(
            f"Requests of '{name}' are composed from columns of the target item "
            f"({composed_from}): they reveal its attributes, which must be stated along "
            "with any result."
        )
    if kind == "review":
        sentences.append(
            f"Requests of '{name}' are reviews of the target item, written after the "
            "interaction: they may name it, which must be stated along with any result."
        )
    return sentences


def _about(path):
    """Return what a converter noted of the requests, ``{}`` if there is no such file."""
    if not os.path.isfile(path):
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            about = json.load(stream)
    except (ValueError, RecursionError) as error:
        about = error
    if not isinstance(about, dict):
        raise UserError(
            f"{path}: this is no JSON object ({about!r:.80}). It says how the requests were "
            'made, such as {"composed": true, "template": "{title}"}: repair it, or remove '
            "it if people wrote them."
        )
    return about
