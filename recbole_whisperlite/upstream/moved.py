"""What of our sources moves into RecBole's, and which lines change on the way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import recbole_whisperlite
from recbole_whisperlite.paths import PROPERTIES

_PACKAGE = Path(recbole_whisperlite.__file__).parent
#: Names that RecBole does not have, and what stands for them there.
NAMES = {"UserError": "ValueError"}


@dataclass(frozen=True)
class Part:
    """Top-level definitions of one of our files.

    Args:
        source (str): The file, from our package's folder on.
        names (tuple of str): Functions, classes and constants, in this order.
        edits (tuple): Pairs (ours, RecBole's) of text; ours occurs exactly once.
    """

    source: str
    names: tuple[str, ...]
    edits: tuple[tuple[str, str], ...] = ()

    def text(self) -> str:
        """Return the definitions as they stand in RecBole.

        Raises:
            LookupError: If our file has not, or not once, what an edit replaces.
        """
        text = definitions((_PACKAGE / self.source).read_text("utf-8"), self.names)
        text = edited(text, self.edits, self.source)
        for ours, theirs in NAMES.items():
            text = re.sub(rf"\b{ours}\b", theirs, text)
        return text


LOSS = Part("model/loss.py", ("InfoNCELoss", "_take", "WhisperLiteLoss"))
TOWER = Part("model/tower.py", ("_LEAST", "unit", "mlp", "Tower", "EmbeddedTexts"))
MODEL = Part(
    "model/whisperlite.py",
    ("WhisperLite",),
    edits=(
        # what a row of our tables states
        (
            "    @staticmethod\n"
            "    def inputs(settings):\n"
            '        item = {"item text": settings["use_text"], "picture": '
            'settings["use_image"]}\n'
            '        return ["request", *(part for part, used in item.items() if used)]\n'
            "\n",
            "",
        ),
    ),
)
DATASET = Part(
    "data/whisperlite_dataset.py",
    ("WhisperLiteDataset",),
    edits=(
        # a checkpoint of RecBole keeps no texts
        (
            "    #: list of str: Texts that words and components are fitted on; None for "
            "those of the\n    #: items. A checkpoint keeps those of training.\n"
            "    fit_texts = None\n\n",
            "",
        ),
        (
            "        fit_texts = self.item_texts[1:] if self.fit_texts is None else "
            "self.fit_texts\n",
            "        fit_texts = self.item_texts[1:]\n",
        ),
    ),
)

#: The model's own module: what stands above it, and the imports.
MODEL_IMPORTS = """
import math
from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from recbole.model.abstract_recommender import GeneralRecommender
from recbole.model.init import xavier_normal_initialization
from recbole.model.loss import WhisperLiteLoss
from recbole.utils import InputType
"""


def model_file() -> str:
    """Return ``recbole/model/general_recommender/whisperlite.py``: towers and model."""
    ours = (_PACKAGE / MODEL.source).read_text("utf-8")
    return (
        f'r"""\n{ast.get_docstring(ast.parse(ours))}\n"""\n'
        f"{MODEL_IMPORTS}\n{TOWER.text()}\n\n{MODEL.text()}"
    )


def settings_file() -> str:
    """Return ``recbole/properties/model/WhisperLite.yaml``."""
    name = "WhisperLite.yaml"
    text = (PROPERTIES / "model" / name).read_text("utf-8")
    edits = (
        (
            "(column image of .item); the encoder must be a CLIP model. For pictures "
            "alone, set use_text to False.",
            "(preload_weight with the value field image_vector). For pictures alone, set "
            "use_text to False.",
        ),
    )
    requests = (
        "REQUEST_FIELD: request          # (str) The token column of .inter that holds the "
        "text of the request.\n"
        "encoder_dim: 256                # (int) The number of dimensions of TF-IDF vectors "
        "after truncated SVD; not used for the vectors of preload_weight.\n\n"
    )
    return requests + edited(text, edits, name)


def edited(text: str, edits: Iterable[tuple[str, str]], where: str) -> str:
    """Replace texts that occur exactly once.

    Args:
        text (str): What is edited.
        edits (iterable of tuple): Pairs (old, new).
        where (str): What is edited, for the message.

    Raises:
        LookupError: If an old text occurs not at all or more than once.
    """
    for old, new in edits:
        if text.count(old) != 1:
            raise LookupError(
                f"{where} has {text.count(old)} times, not once: {old.strip()!r}"
            )
        text = text.replace(old, new)
    return text


def definitions(source: str, names: Iterable[str]) -> str:
    """Return top-level definitions of a module, with the comments right above them.

    Args:
        source (str): The module.
        names (iterable of str): In the order in which to return them.

    Returns:
        str: Two empty lines between them, a line break at the end.

    Raises:
        KeyError: If there is no definition of a name.
    """
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        name = getattr(node, "name", None)
        if isinstance(node, ast.Assign):
            name = node.targets[0].id
        first = node.lineno - 1
        while first and lines[first - 1].startswith(("#", "@")):
            first -= 1
        found[name] = "\n".join(lines[first : node.end_lineno])
    return "\n\n\n".join(found[name] for name in names) + "\n"
