"""RecBole's transformer encoder in numpy: one position and one head at a time."""

import numpy as np
from scipy.special import erf


def linear(layer, x):
    return layer.weight.detach().numpy() @ x + layer.bias.detach().numpy()


def layer_norm(layer, x):
    scaled = (x - x.mean()) / np.sqrt(x.var() + layer.eps)
    return layer.weight.detach().numpy() * scaled + layer.bias.detach().numpy()


def encode(encoder, rows, sees):
    """The output at each position.

    ``rows`` is a list of vectors, and ``sees[i]`` the positions that position ``i`` attends to.
    """
    for layer in encoder.layer:
        attention, forward = layer.multi_head_attention, layer.feed_forward
        size = attention.attention_head_size
        q, k, v = (
            [linear(getattr(attention, name), row) for row in rows]
            for name in ("query", "key", "value")
        )
        out = []
        for i, row in enumerate(rows):
            heads = []
            for head in range(attention.num_attention_heads):
                part = slice(head * size, (head + 1) * size)
                logit = [q[i][part] @ k[j][part] / np.sqrt(size) for j in sees[i]]
                weight = np.exp(logit) / np.exp(logit).sum()
                heads.append(sum(w * v[j][part] for w, j in zip(weight, sees[i])))
            mixed = linear(attention.dense, np.concatenate(heads)) + row
            mixed = layer_norm(attention.LayerNorm, mixed)
            x = linear(forward.dense_1, mixed)
            x = linear(forward.dense_2, x * (1 + erf(x / np.sqrt(2))) / 2)  # gelu
            out.append(layer_norm(forward.LayerNorm, x + mixed))
        rows = out
    return rows
