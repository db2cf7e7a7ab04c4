"""Models as folders: open_clip's config beside its weights, ready for ``clip_model``."""

import json
from pathlib import Path

import numpy as np

from recbole_whisperlite.encoder import mini_clip
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


def save_clip(folder, model, config, kept_tokens=None):
    """Write a model, which replaces one that is there.

    Args:
        folder (str or Path): Made if need be.
        model (torch.nn.Module): Of open_clip's.
        config (dict): ``model_cfg`` and ``preprocess_cfg`` of open_clip.
        kept_tokens (array of int, optional): For a model with a reduced vocabulary; it
            is written as :func:`mini_clip.save_mini` does, in float16.
    """
    if kept_tokens is not None:
        mini_clip.save_mini(
            folder, model, config["model_cfg"], config["preprocess_cfg"], kept_tokens
        )
        return
    from safetensors.torch import save_file

    folder = Path(folder)
    state = {
        name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()
    }
    # Without the config the folder holds no model, with it a whole one.
    (folder / CONFIG).unlink(missing_ok=True)
    with whole_file(folder / WEIGHTS) as path:
        save_file(state, path)
    with whole_file(folder / CONFIG) as path:
        path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def new_clip(folder, model_cfg, preprocess_cfg, captions, seed):
    """Write a model with random weights, and rows for the tokens of some texts only.

    A token that one picture alone has gets no row: it shares the row of all the others,
    which so learns what an unknown word is worth.

    Args:
        folder (str or Path): Made if need be.
        model_cfg (dict): open_clip's model config, but for ``vocab_size``.
        preprocess_cfg (dict): open_clip's preprocessing.
        captions (list of list of str): The texts, a list a picture.
        seed (int): Of the weights.

    Raises:
        UserError: If open_clip cannot build such a model.
    """
    import open_clip
    import torch

    text_cfg = dict(model_cfg.get("text_cfg", {}))
    tokenizer = open_clip.SimpleTokenizer(
        context_length=text_cfg.get("context_length", 77)
    )
    pictures_with = np.zeros(mini_clip.END_TOKEN + 1, dtype=np.int64)
    for texts in captions:
        pictures_with[np.unique(tokenizer(texts).numpy())] += 1
    kept = np.flatnonzero(pictures_with > 1)
    kept = np.union1d(kept, [mini_clip.START_TOKEN, mini_clip.END_TOKEN])
    model_cfg = {**model_cfg, "text_cfg": {**text_cfg, "vocab_size": len(kept) + 1}}
    torch.manual_seed(seed)
    try:
        model = open_clip.model.CLIP(**model_cfg)
    except Exception as error:
        raise UserError(
            f"model_cfg: open_clip cannot build this model: {error}"
        ) from error
    save_clip(
        folder,
        model,
        {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg},
        kept,
    )
