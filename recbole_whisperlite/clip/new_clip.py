"""A CLIP model of one's own: random weights, and the vocabulary of its captions."""

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
    folder, model_cfg, preprocess_cfg, captions, seed=2020, show_progress=True
):
    """Write a model with random weights, and rows for the tokens of some texts only.

    A token that one picture alone has gets no row: it shares the row of all the others,
    which so learns what an unknown word is worth.

    Args:
        folder (str or Path): Made if need be.
        model_cfg (dict): open_clip's model config, but for ``vocab_size``.
        preprocess_cfg (dict): open_clip's preprocessing: ``mean``, ``std``,
            ``interpolation``, ``resize_mode``, … What is missing is as CLIP has it.
        captions (list of list of str): The texts, a list a picture.
        seed (int): Of the weights.
        show_progress (bool): Whether a bar shows after a second.

    Raises:
        UserError: If open_clip cannot build such a model, or it cannot read pictures
            that are prepared so.
    """
    for name, value in (("model_cfg", model_cfg), ("preprocess_cfg", preprocess_cfg)):
        if not isinstance(value, dict):
            raise UserError(
                f"{name} is '{value}'; it must be settings of open_clip's, a 'key: "
                "value' each."
            )
    for name in preprocess_cfg:
        if name not in _PREPROCESS:
            raise UserError(
                f"preprocess_cfg: there is no setting '{name}'."
                f"{did_you_mean(name, _PREPROCESS)} Accepted are "
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
        # Sizes that do not fit each other are found by use only.
        with torch.inference_mode():
            tokens = torch.zeros(1, tokenizer.context_length, dtype=torch.long)
            model(picture[None], tokens)
    except KeyError as error:
        raise UserError(f"model_cfg: {error} is missing.") from None
    except Exception as error:
        # open_clip and timm raise whatever they stumble over.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            "model_cfg or preprocess_cfg: open_clip cannot build or run this model. "
            f"{reason}"
        ) from error
    save_clip(folder, model, model_cfg, vars(prepared), kept)


def _met_twice(tokenizer, captions, show_progress):
    """Return the ids of tokens that two pictures have, with start and end token."""
    pictures_with = np.zeros(END_TOKEN + 1, dtype=np.int64)
    bar = tqdm(captions, "find tokens", delay=1, disable=not show_progress)
    for texts in bar:
        pictures_with[np.unique(tokenizer(texts).numpy())] += 1
    return np.union1d(np.flatnonzero(pictures_with > 1), tokenizer.all_special_ids)
