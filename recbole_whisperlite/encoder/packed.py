"""Layers of a frozen transformer computed by oneDNN, with weights packed once.

On a CPU PyTorch multiplies float32 matrices with another library, which takes more than
twice as long on some processors. Results are the same up to rounding.
"""

import torch
from torch.nn import functional


def pack(transformer: torch.nn.Module | None) -> None:
    """Replace the linear layers and self-attentions of open_clip's residual blocks.

    Layers of any other kind are kept. Replaced layers cannot be trained or saved.

    Args:
        transformer (torch.nn.Module or None): On a CPU, float32; changed in place.
            Nothing happens if it is None or has no ``resblocks``.
    """
    if not torch.backends.mkldnn.is_available():
        return
    for block in getattr(transformer, "resblocks", ()):
        for name, layer in block.mlp.named_children():
            if isinstance(layer, torch.nn.Linear):
                setattr(block.mlp, name, _Linear(layer.weight, layer.bias))
        # As open_clip builds it: one weight for queries, keys and values; batch first.
        if isinstance(block.attn, torch.nn.MultiheadAttention) and (
            block.attn.batch_first and block.attn.in_proj_weight is not None
        ):
            block.attn = _SelfAttention(block.attn)


def is_packed(block: torch.nn.Module) -> bool:
    """Return whether a residual block was packed, its attention included."""
    return isinstance(getattr(block, "attn", None), _SelfAttention)


def run_at(block: torch.nn.Module, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Return what a packed causal block gives at one position of each sequence.

    Most of a block is computed for each position alone, so this is a fraction of the work.

    Args:
        block (torch.nn.Module): A residual block of open_clip for which :func:`is_packed`.
        x (torch.Tensor): Its input, float ``[n, length, width]``.
        at (torch.Tensor): The position in each sequence, int64 ``[n]``.

    Returns:
        torch.Tensor: float ``[n, width]``.
    """
    attended = block.attn.run_at(block.ln_1(x), at)
    x = x[torch.arange(len(x)), at] + block.ls_1(attended)
    return x + block.ls_2(block.mlp(block.ln_2(x)))


class _Linear(torch.nn.Module):
    def __init__(self, weight, bias):
        super().__init__()
        self.weight = weight.detach().to_mkldnn()
        self.bias = bias.detach().to_mkldnn()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x.to_mkldnn(), self.weight, self.bias).to_dense()


class _SelfAttention(torch.nn.Module):
    """``torch.nn.MultiheadAttention`` over one sequence; returns no weights."""

    def __init__(self, attention):
        super().__init__()
        self.heads = attention.num_heads
        self.in_proj = _Linear(attention.in_proj_weight, attention.in_proj_bias)
        out_proj = attention.out_proj
        self.out_proj = _Linear(out_proj.weight, out_proj.bias)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        need_weights: bool,
        attn_mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor, None]:
        texts, length, width = query.shape
        if attn_mask is not None and attn_mask.ndim == 3:
            attn_mask = attn_mask.view(texts, self.heads, length, length)
        x = functional.scaled_dot_product_attention(
            *self._parts(query), attn_mask=attn_mask
        )
        return self.out_proj(x.transpose(1, 2).reshape(texts, length, width)), None

    def run_at(self, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """Return the attention of one position to itself and those before, ``[n, width]``."""
        query, key, value = self._parts(x)
        query = query[torch.arange(len(x)), :, at].unsqueeze(2)
        seen = torch.arange(x.shape[1]) <= at[:, None]
        x = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=seen[:, None, None]
        )
        return self.out_proj(x.reshape(len(x), -1))

    def _parts(self, x):
        """Return queries, keys and values, ``[3, n, heads, length, width of a head]``."""
        parts = self.in_proj(x).view(*x.shape[:2], 3, self.heads, -1)
        return parts.permute(2, 0, 3, 1, 4)
