import copy

import pytest
import torch
from close import assert_close_relative

from recbole_whisperlite.encoder.packed import (
    _Linear,
    _SelfAttention,
    pack,
    run_at,
)


@pytest.fixture
def transformer():
    from open_clip.transformer import Transformer

    torch.manual_seed(0)
    model = Transformer(width=32, layers=2, heads=4).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


MASKS = {
    "none": lambda: None,
    "causal": lambda: torch.full((7, 7), -torch.inf).triu(1),
    "a text and head": lambda: torch.randn(3 * 4, 7, 7),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@torch.no_grad()
def test_packed_layers_give_the_same_but_for_rounding(transformer, mask):
    x, mask = torch.randn(3, 7, 32), mask()
    expected = transformer(x, attn_mask=mask)
    packed = copy.deepcopy(transformer)
    pack(packed)
    assert_close_relative(packed(x, attn_mask=mask), expected)
    kinds = [type(module) for module in packed.modules()]
    # Two in each of two blocks' MLP, and each block's attention holds two.
    assert kinds.count(_Linear) == 8 and kinds.count(_SelfAttention) == 2
    assert torch.nn.Linear not in kinds


@torch.no_grad()
def test_a_block_run_at_one_position_gives_what_the_whole_block_has_there(transformer):
    x, at = torch.randn(3, 7, 32), torch.tensor([6, 0, 3])
    pack(transformer)
    block = transformer.resblocks[0]
    whole = block(x, attn_mask=MASKS["causal"]())
    assert_close_relative(run_at(block, x, at), whole[torch.arange(3), at])


def test_where_oneDNN_is_missing_nothing_is_replaced(transformer, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    pack(transformer)
    assert not any(isinstance(module, _Linear) for module in transformer.modules())
