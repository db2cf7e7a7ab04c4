"""CLIP models on disk: folders of open_clip's, small ones with a table for few tokens.

CLIP's byte-pair encoding has 49,408 tokens; a small model trained on one kind of text
meets few of them, and the rows of the others would be most of its weights. Its folder
holds open_clip's own ``open_clip_config.json`` and ``open_clip_model.safetensors``
(float16), plus ``kept_tokens.npy``: the ids of CLIP's tokenizer that have a row, in
order of the rows. Row 0 stands for every token that has none; the end token comes
last, because open_clip takes a text's vector at its highest id.
"""

import contextlib
import json
from pathlib import Path

import numpy as np

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file

KEPT_TOKENS = "kept_tokens.npy"
START_TOKEN, END_TOKEN = 49406, 49407
_TABLE = "token_embedding.weight"


class KeptTokenizer:
    """CLIP's tokenizer with its ids turned into rows of a reduced table.

    Args:
        tokenizer (open_clip.SimpleTokenizer): Gives CLIP's ids.
        kept_tokens (numpy.ndarray): int ``[n]``, ascending, the ids that have a row:
            ``kept_tokens[i]`` has row ``i + 1``. All others share row 0.

    Raises:
        UserError: If the ids are not of that form or lack the start or end token.
    """

    def __init__(self, tokenizer, kept_tokens):
        kept = np.asarray(kept_tokens)
        _check(kept)
        self.tokenizer = tokenizer
        self.kept_tokens = kept
        self.context_length = tokenizer.context_length
        self.vocab_size = len(kept) + 1
        self._row_of = np.zeros(END_TOKEN + 1, dtype=np.int64)
        self._row_of[kept] = np.arange(1, len(kept) + 1)

    def __call__(self, texts, context_length=None):
        """Return rows of the table, int64 tensor ``[len(texts), context_length]``."""
        import torch

        ids = self.tokenizer(texts, context_length)
        return torch.from_numpy(self._row_of[ids.numpy()])


def kept_tokenizer(folder, tokenizer):
    """Return ``tokenizer`` as the model in ``folder`` reads it.

    Args:
        folder (Path): A model's folder.
        tokenizer (callable): From ``open_clip.get_tokenizer`` for that folder.

    Raises:
        UserError: If ``kept_tokens.npy`` is there and broken, or does not fit the model.
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
            f"{path} has {wrapped.vocab_size - 1} tokens, which with the row of the "
            f"others is {wrapped.vocab_size} rows, but open_clip_config.json says "
            f"vocab_size {rows}. The files are of different models."
        )
    return wrapped


def save_clip(folder, model, model_cfg, preprocess_cfg, kept_tokens=None):
    """Write a model as a folder of open_clip's, which ``clip_model: folder`` loads.

    A model that is there is replaced at the very end: if anything goes wrong before, it
    stays as it was.

    Args:
        folder (str or Path): Made if need be.
        model (torch.nn.Module): Of open_clip's.
        model_cfg (dict): open_clip's model config.
        preprocess_cfg (dict): open_clip's preprocessing (``mean``, ``std``,
            ``interpolation``, ``resize_mode``, …).
        kept_tokens (array of int, optional): Makes it a small model, in float16: ids of
            CLIP's tokenizer in any order; start and end token are added. The model has
            the table of :class:`KeptTokenizer` or CLIP's whole one, which is reduced:
            row 0 becomes the mean of the rows that go. ``vocab_size`` is set. By default
            the weights are written as they are.

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
        # What is entered first is put in its place last: without the config the folder
        # holds no model, with it a whole one.
        path = files.enter_context(whole_file(config_file))
        path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")
        path = files.enter_context(whole_file(folder / "open_clip_model.safetensors"))
        # Its save_file gives the file to the owner alone.
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
            f"The model has {len(table)} token rows. Expected are {END_TOKEN + 1} "
            f"(CLIP's whole table) or {len(kept) + 1} (the kept tokens and one row for "
            "all others)."
        )
    goes = torch.ones(len(table), dtype=torch.bool)
    goes[torch.from_numpy(kept).long()] = False
    return torch.cat([table[goes].mean(dim=0, keepdim=True), table[~goes]])


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
            "kept_tokens must be ids of CLIP's tokenizer, ascending, each once, from 0 "
            f"to {END_TOKEN}, with its start and end token {START_TOKEN} and {END_TOKEN}."
        )
