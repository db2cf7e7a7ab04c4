"""CLIP models on disk as open_clip folders; small ones with a reduced token table.

CLIP's byte-pair encoding has 49,408 tokens; a small model trained on one kind of text
sees few of them, and the rows of the others would be most of its weights. Its folder
holds open_clip's own ``open_clip_config.json`` and ``open_clip_model.safetensors``
(float16), plus ``kept_tokens.npy``: the ids of CLIP's tokenizer that have a row, in
the order of the rows. Row 0 is shared by all other tokens; the end token comes last,
because open_clip takes a text's vector at its highest id.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file

if TYPE_CHECKING:
    import torch
    from open_clip import SimpleTokenizer

KEPT_TOKENS = "kept_tokens.npy"
START_TOKEN, END_TOKEN = 49406, 49407
_TABLE = "token_embedding.weight"


class KeptTokenizer:
    """CLIP's tokenizer with its ids mapped to rows of a reduced token table.

    Args:
        tokenizer (open_clip.SimpleTokenizer): Gives CLIP's ids.
        kept_tokens (numpy.ndarray): int ``[n]``, ascending, the ids that have a row:
            ``kept_tokens[i]`` has row ``i + 1``. All others share row 0.

    Attributes:
        context_length (int): The maximum number of tokens, start and end included.
        vocab_size (int): The number of rows.

    Raises:
        UserError: If the ids are not of that form or lack the start or end token.
    """

    def __init__(self, tokenizer: SimpleTokenizer, kept_tokens: np.ndarray):
        kept = np.asarray(kept_tokens)
        _check(kept)
        self.tokenizer = tokenizer
        self.kept_tokens = kept
        self.context_length = tokenizer.context_length
        self.vocab_size = len(kept) + 1
        self._row_of = np.zeros(END_TOKEN + 1, dtype=np.int64)
        self._row_of[kept] = np.arange(1, len(kept) + 1)

    def __call__(
        self, texts: str | list[str], context_length: int | None = None
    ) -> torch.Tensor:
        """Return rows of the table, int64 tensor ``[len(texts), context_length]``."""
        import torch

        ids = self.tokenizer(texts, context_length)
        return torch.from_numpy(self._row_of[ids.numpy()])


def kept_tokenizer(
    folder: str | Path, tokenizer: Callable[..., torch.Tensor]
) -> Callable[..., torch.Tensor]:
    """Return ``tokenizer`` as the model in ``folder`` needs it.

    Args:
        folder (str or Path): A model's folder.
        tokenizer (callable): From ``open_clip.get_tokenizer`` for that folder.

    Returns:
        callable: A :class:`KeptTokenizer` if the folder has a ``kept_tokens.npy``, else
        ``tokenizer`` itself.

    Raises:
        UserError: If ``kept_tokens.npy`` is broken or does not fit the model.
    """
    path = Path(folder) / KEPT_TOKENS
    if not path.is_file():
        return tokenizer
    try:
        wrapped = KeptTokenizer(tokenizer, np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    config = json.loads((path.parent / "open_clip_config.json").read_text("utf-8"))
    rows = config["model_cfg"]["text_cfg"].get("vocab_size")
    if rows != wrapped.vocab_size:
        raise UserError(
            f"{path} has {wrapped.vocab_size - 1} tokens, which makes "
            f"{wrapped.vocab_size} rows with the one shared by all other tokens, but "
            f"open_clip_config.json has vocab_size {rows}. The files belong to different "
            "models."
        )
    return wrapped


def save_clip(
    folder: str | Path,
    model: torch.nn.Module,
    model_cfg: dict,
    preprocess_cfg: dict,
    kept_tokens: Iterable[int] | np.ndarray | None = None,
) -> None:
    """Write a model as an open_clip folder, which ``clip_model: folder`` loads.

    A model already in the folder is replaced at the very end: if anything goes wrong
    before, it is left unchanged.

    Args:
        folder (str or Path): Created if missing.
        model (torch.nn.Module): An open_clip model.
        model_cfg (dict): open_clip's model config.
        preprocess_cfg (dict): open_clip's preprocessing (``mean``, ``std``,
            ``interpolation``, ``resize_mode``, …).
        kept_tokens (array of int, optional): Makes it a small model, in float16: ids of
            CLIP's tokenizer in any order; start and end token are added. The model has
            the table of :class:`KeptTokenizer` or CLIP's full one, which is reduced:
            row 0 becomes the mean of the rows that are dropped. ``vocab_size`` is set.
            By default the weights are written unchanged.

    Raises:
        UserError: If an id is not one of CLIP's, or the table has another size.
    """
    from safetensors.torch import save

    folder = Path(folder)
    state = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    if kept_tokens is not None:
        kept = np.union1d(kept_tokens, [START_TOKEN, END_TOKEN]).astype(np.int32)
        _check(kept)
        (table,) = [name for name in state if name.endswith(_TABLE)]
        state[table] = _reduced(state[table], kept)
        state = {
            name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in state.items()
        }
        text_cfg = {**model_cfg["text_cfg"], "vocab_size": len(kept) + 1}
        model_cfg = {**model_cfg, "text_cfg": text_cfg}
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    config_file = folder / "open_clip_config.json"
    with contextlib.ExitStack() as files:
        # The file entered first is moved into place last: without the config the folder
        # holds no model, with it a complete one.
        path = files.enter_context(whole_file(config_file))
        path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        path = files.enter_context(whole_file(folder / "open_clip_model.safetensors"))
        # safetensors' save_file would make the file readable by its owner only.
        path.write_bytes(save(state))
        if kept_tokens is not None:
            path = files.enter_context(whole_file(folder / KEPT_TOKENS))
            with open(path, "wb") as file:
                np.save(file, kept)
        config_file.unlink(missing_ok=True)
        if kept_tokens is None:
            (folder / KEPT_TOKENS).unlink(missing_ok=True)


def _reduced(table, kept):
    import torch

    if len(table) == len(kept) + 1:
        return table
    if len(table) != END_TOKEN + 1:
        raise UserError(
            f"The model has {len(table)} token rows; expected {END_TOKEN + 1} (CLIP's "
            f"full table) or {len(kept) + 1} (the kept tokens and one row for all "
            "others)."
        )
    dropped = torch.ones(len(table), dtype=torch.bool)
    dropped[torch.from_numpy(kept).long()] = False
    return torch.cat([table[dropped].mean(dim=0, keepdim=True), table[~dropped]])


def _check(kept):
    fine = (
        kept.ndim == 1
        and kept.dtype.kind in "iu"
        and (np.diff(kept) > 0).all()
        and np.isin([START_TOKEN, END_TOKEN], kept).all()
        and kept[0] >= 0
        and kept[-1] == END_TOKEN
    )
    if not fine:
        raise UserError(
            "kept_tokens must be distinct ids of CLIP's tokenizer, ascending, from 0 to "
            f"{END_TOKEN}, including its start token {START_TOKEN} and end token "
            f"{END_TOKEN}."
        )
