"""Texts as sequences of vectors: the states of a frozen encoder, one a token."""

import re

import numpy as np

from recbole_whisperlite.encoder import options
from recbole_whisperlite.encoder.clip.open_clip import OpenClip
from recbole_whisperlite.encoder.presets import PRESETS
from recbole_whisperlite.encoder.tfidf import Tfidf
from recbole_whisperlite.errors import UserError


def token_states(config, texts, fit_texts):
    """Return the token states of ``texts``, one text after the other.

    ``open_clip`` gives the last layer of its text tower, after the final norm and before
    pooling, at every token of the text; longer texts are cut at the context length.
    ``tfidf`` has no states: there a token is a word that it knows, with the word's own
    vector. Of several encoders the first counts. Nothing is cached.

    Args:
        config (Config or dict): The settings of ``properties/dataset/request.yaml``.
        texts (list of str): The texts, without padding.
        fit_texts (list of str): Texts that ``tfidf`` learns from.

    Returns:
        tuple: States, float16 ``[n_tokens, dim]``, and offsets, int64
        ``[len(texts) + 1]``: text ``i`` has the rows from ``offsets[i]`` to
        ``offsets[i + 1]``. A text without tokens has one row of zeros.

    Raises:
        UserError: If the encoder gives no token states.
    """
    clips = dict.fromkeys(("open_clip", *PRESETS), _open_clip)
    makers = {"tfidf": _words, **clips}
    config = options.each_encoder(config)[0]
    name = config["encoder"]
    if name not in makers:
        raise UserError(
            f"encoder: {name} gives a vector a text, but this model reads a vector a "
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
    number = {word: place for place, word in enumerate(known)}
    return [
        vectors[[number[word] for word in split(text) if word in number] or [-1]]
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
            f"{encoder.source.name} has no text tower of open_clip's own, so its token "
            "states are not known. Set another encoder or clip_model."
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
                place = torch.arange(1, tokens.shape[1] + 1)
                lengths = ((tokens != padding) * place).amax(dim=1).clamp(min=1)
                parts += [row[:length] for row, length in zip(states, lengths.tolist())]
                bar.update(len(tokens))
    finally:
        hook.remove()
    return parts
