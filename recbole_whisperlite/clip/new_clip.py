"""A new CLIP model with random weights and the vocabulary of its captions."""

from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from tqdm import tqdm

from recbole_whisperlite.encoder.clip.mini_clip import END_TOKEN, save_clip
from recbole_whisperlite.errors import UserError, did_you_mean

_PREPROCESS = set(vars(PreprocessCfg())) - {"size"}


def new_clip(
    folder: str | Path,
    model_cfg: dict,
    preprocess_cfg: dict,
    captions: list[list[str]],
    seed: int = 2020,
    show_progress: bool = True,
) -> None:
    """Write a model with random weights whose token table covers only some texts.

    Tokens that occur with a single picture get no row of their own: they share the row
    of all other tokens, which thereby learns a vector for unknown words.

    Args:
        folder (str or Path): Created if missing.
        model_cfg (dict): open_clip's model config, without ``vocab_size``.
        preprocess_cfg (dict): open_clip's preprocessing: ``mean``, ``std``,
            ``interpolation``, ``resize_mode``, … Missing keys get CLIP's values.
        captions (list of list of str): The texts, one list per picture.
        seed (int): Seed of the weights.
        show_progress (bool): Whether a progress bar appears after one second.

    Raises:
        UserError: If open_clip cannot build such a model, or the model cannot process
            pictures preprocessed like that.
    """
    for name, value in (("model_cfg", model_cfg), ("preprocess_cfg", preprocess_cfg)):
        if not isinstance(value, dict):
            raise UserError(
                f"{name} is '{value}'; it must be a mapping of open_clip's settings "
                "('key: value')."
            )
    for name in preprocess_cfg:
        if name not in _PREPROCESS:
            raise UserError(
                f"preprocess_cfg: there is no setting '{name}'."
                f"{did_you_mean(name, _PREPROCESS)} Accepted: "
                f"{', '.join(sorted(_PREPROCESS))}."
            )
    try:
        text_cfg = dict(model_cfg["text_cfg"])
        tokenizer = open_clip.SimpleTokenizer(
            context_length=text_cfg.get("context_length", 77)
        )
        kept = _met_twice(tokenizer, captions, show_progress)
        text_cfg["vocab_size"] = len(kept) + 1
        model_cfg = {**model_cfg, "text_cfg": text_cfg}
        torch.manual_seed(seed)
        model = open_clip.CLIP(**model_cfg).eval()
        prepared = PreprocessCfg(size=model.visual.image_size, **preprocess_cfg)
        picture = image_transform_v2(prepared, is_train=False)(Image.new("RGB", (8, 8)))
        # Incompatible sizes only show when the model runs.
        with torch.inference_mode():
            tokens = torch.zeros(1, tokenizer.context_length, dtype=torch.long)
            model(picture[None], tokens)
    except KeyError as error:
        raise UserError(f"model_cfg: {error} is missing.") from None
    except Exception as error:
        # open_clip and timm raise all sorts of errors.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            "model_cfg or preprocess_cfg: open_clip cannot build or run this model. "
            f"{reason}"
        ) from error
    save_clip(folder, model, model_cfg, vars(prepared), kept)


def _met_twice(tokenizer, captions, show_progress):
    """Return the ids of tokens that occur with at least two pictures, and special ids."""
    pictures_with = np.zeros(END_TOKEN + 1, dtype=np.int64)
    bar = tqdm(
        captions, "find tokens", delay=1, disable=None if show_progress else True
    )
    for texts in bar:
        pictures_with[np.unique(tokenizer(texts).numpy())] += 1
    return np.union1d(np.flatnonzero(pictures_with > 1), tokenizer.all_special_ids)
