"""Texts as sequences of vectors: the states of a frozen encoder, one per token."""

from __future__ import annotations


import numpy as np

from recbole_whisperlite.encoder.base import Encoder
from recbole_whisperlite.encoder.clip.open_clip import OpenClip
from recbole_whisperlite.encoder.presets import PRESETS
from recbole_whisperlite.encoder.tfidf import Tfidf
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.words import words_of


def token_states(
    encoder: Encoder | None, texts: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the token states of ``texts``, one text after the other.

    ``open_clip`` gives the last layer of its text tower, after the final norm and before
    pooling, at every token of the text; texts are cut at the context length. ``tfidf``
    has no states: there a token is a word that it knows, with the vector of that word.
    Nothing is cached.

    Args:
        encoder (Encoder or None): ``tfidf`` or a CLIP model; None is ``precomputed``.
        texts (list of str): The texts, without padding.

    Returns:
        tuple: States, float16 ``[n_tokens, dim]``, and offsets, int64
        ``[len(texts) + 1]``: text ``i`` has the rows from ``offsets[i]`` up to but not
        including ``offsets[i + 1]``. A text without tokens has one row of zeros.

    Raises:
        UserError: If the encoder gives no token states.
    """
    if isinstance(encoder, Tfidf):
        parts = _words(encoder, texts)
    elif isinstance(encoder, OpenClip):
        parts = _open_clip(encoder, texts)
    else:
        name = "precomputed" if encoder is None else type(encoder).__name__
        raise UserError(
            f"encoder: {name} gives one vector per text, but this model "
            "needs one per token. Set encoder to one of "
            f"{', '.join(('tfidf', 'open_clip', *PRESETS))}."
        )
    offsets = np.cumsum([0] + [len(part) for part in parts])
    return np.concatenate(parts), offsets


def _words(encoder, texts):
    known = sorted(encoder.words)
    vectors = encoder.encode(known).astype(np.float16)
    vectors = np.concatenate([vectors, np.zeros_like(vectors[:1])])
    row_of = {word: row for row, word in enumerate(known)}
    return [
        vectors[[row_of[word] for word in words_of(text) if word in row_of] or [-1]]
        for text in texts
    ]


def _open_clip(encoder, texts):
    import torch

    tower = encoder.tower
    final_norm = getattr(getattr(tower.model, "text", tower.model), "ln_final", None)
    if final_norm is None:
        raise UserError(
            f"The text tower of {encoder.source.name} is not one of open_clip's own, so "
            "its token states are not accessible. Set another encoder or clip_model."
        )
    padding = tower.tokenizer([""])[0, -1]
    caught, parts = [], []
    hook = final_norm.register_forward_hook(lambda *call: caught.append(call[-1]))
    try:
        with torch.inference_mode(), encoder.progress(len(texts), "read tokens") as bar:
            for start in range(0, len(texts), encoder.batch_size):
                tokens = tower.tokenizer(texts[start : start + encoder.batch_size])
                tower.model.encode_text(tokens.to(tower.device))
                states = caught.pop().half().cpu().numpy()
                position = torch.arange(1, tokens.shape[1] + 1)
                lengths = ((tokens != padding) * position).amax(dim=1).clamp(min=1)
                parts += [row[:length] for row, length in zip(states, lengths.tolist())]
                bar.update(len(tokens))
    finally:
        hook.remove()
    return parts
