"""Texts as sequences of vectors: the states of a frozen encoder, one per token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder import options
from recbole_whisperlite.encoder.clip.open_clip import OpenClip
from recbole_whisperlite.encoder.presets import PRESETS
from recbole_whisperlite.encoder.tfidf import Tfidf
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole.config import Config


def token_states(
    config: Config | dict, texts: list[str], fit_texts: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the token states of ``texts``, one text after the other.

    ``open_clip`` gives the last layer of its text tower, after the final norm and before
    pooling, at every token of the text; texts are cut at the context length. ``tfidf``
    has no states: there a token is a word that it knows, with the vector of that word.
    Of several encoders only the first is used. Nothing is cached.

    Args:
        config (Config or dict): The settings of ``properties/dataset/request.yaml``.
        texts (list of str): The texts, without padding.
        fit_texts (list of str): Texts that ``tfidf`` is fitted on.

    Returns:
        tuple: States, float16 ``[n_tokens, dim]``, and offsets, int64
        ``[len(texts) + 1]``: text ``i`` has the rows from ``offsets[i]`` up to but not
        including ``offsets[i + 1]``. A text without tokens has one row of zeros.

    Raises:
        UserError: If the encoder gives no token states.
    """
    clips = dict.fromkeys(("open_clip", *PRESETS), _open_clip)
    makers = {"tfidf": _words, **clips}
    config = options.each_encoder(config)[0]
    name = config["encoder"]
    if name not in makers:
        raise UserError(
            f"encoder: {name} gives one vector per text, but this model needs one per "
            f"token. Set encoder to one of {', '.join(makers)}."
        )
    parts = makers[name](config, texts, fit_texts)
    offsets = np.cumsum([0] + [len(part) for part in parts])
    return np.concatenate(parts), offsets


def _words(config, texts, fit_texts):
    def split(text):
        return re.findall(r"\w+", text.lower())

    known = sorted({word for text in fit_texts for word in split(text)})
    vectors = Tfidf(config, fit_texts).encode(known).astype(np.float16)
    vectors = np.concatenate([vectors, np.zeros_like(vectors[:1])])
    row_of = {word: row for row, word in enumerate(known)}
    return [
        vectors[[row_of[word] for word in split(text) if word in row_of] or [-1]]
        for text in texts
    ]


def _open_clip(config, texts, fit_texts):
    import torch

    encoder = OpenClip(config, fit_texts)
    model, tokenizer, _ = encoder.source.load()
    device = torch.device(options.setting(config, "device") or "cpu")
    model = model.to(device).eval()
    final_norm = getattr(getattr(model, "text", model), "ln_final", None)
    if final_norm is None:
        raise UserError(
            f"The text tower of {encoder.source.name} is not one of open_clip's own, so "
            "its token states are not accessible. Set another encoder or clip_model."
        )
    padding = tokenizer([""])[0, -1]
    size = options.positive_int(config, "encode_batch_size")
    caught, parts = [], []
    hook = final_norm.register_forward_hook(lambda *call: caught.append(call[-1]))
    try:
        with torch.inference_mode(), encoder.progress(len(texts), "read tokens") as bar:
            for start in range(0, len(texts), size):
                tokens = tokenizer(texts[start : start + size])
                model.encode_text(tokens.to(device))
                states = caught.pop().half().cpu().numpy()
                position = torch.arange(1, tokens.shape[1] + 1)
                lengths = ((tokens != padding) * position).amax(dim=1).clamp(min=1)
                parts += [row[:length] for row, length in zip(states, lengths.tolist())]
                bar.update(len(tokens))
    finally:
        hook.remove()
    return parts
