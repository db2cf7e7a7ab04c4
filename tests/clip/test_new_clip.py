"""A new model has rows for the tokens that two pictures' captions have."""

import json

import numpy as np
import open_clip
import pytest
from safetensors.torch import load_file

from recbole_whisperlite.clip.new_clip import new_clip
from recbole_whisperlite.encoder.clip import load_clip
from recbole_whisperlite.errors import UserError

MODEL = {
    "embed_dim": 8,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 16,
        "layers": 1,
        "width": 16,
        "head_width": 8,
    },
    "text_cfg": {"context_length": 12, "width": 8, "heads": 1, "layers": 1},
}
CAPTIONS = [["a red box", "red red red"], ["a blue box"], ["a red dress"]]


def test_tokens_that_one_picture_alone_has_share_a_row(tmp_path):
    new_clip(tmp_path, MODEL, {"resize_mode": "squash"}, CAPTIONS)
    ids = open_clip.SimpleTokenizer(context_length=12)(["a red box"])[0, 1:4].tolist()
    kept = np.load(tmp_path / "kept_tokens.npy").tolist()
    assert kept == sorted({0, *ids, 49406, 49407})  # 0: padding
    clip = load_clip("open_clip", clip_model=str(tmp_path))
    blue, dress, red = clip.tokenizer(["blue", "dress", "red"])[:, 1].tolist()
    assert blue == dress == 0 != red
    assert clip.config()["preprocess_cfg"]["resize_mode"] == "squash"
    assert clip.config()["model_cfg"]["text_cfg"]["vocab_size"] == len(kept) + 1


def test_the_seed_makes_the_weights(tmp_path):
    def weights(name, seed):
        new_clip(tmp_path / name, MODEL, {}, CAPTIONS, seed)
        return load_file(tmp_path / name / "open_clip_model.safetensors")["visual.proj"]

    first = weights("first", 1)
    assert first.equal(weights("again", 1)) and not first.equal(weights("other", 2))


@pytest.mark.parametrize(
    "model, preprocess, message",
    [
        ("resnet", {}, "model_cfg is 'resnet'; it must be a mapping"),
        ({"embed_dim": 8}, {}, "'text_cfg' is missing"),
        ({**MODEL, "layers": 3}, {}, "unexpected keyword argument 'layers'"),
        ({**MODEL, "text_cfg": 3}, {}, "cannot build or run"),
        ({**MODEL, "text_cfg": {"context_length": "long"}}, {}, "cannot build or run"),
        (MODEL, {"resize": "squash"}, "'resize'. Did you mean 'resize_mode'"),
        (MODEL, {"interpolation": "pretty"}, "cannot build or run"),
        (MODEL, {"mean": "dark"}, "cannot build or run"),
    ],
)
def test_a_model_that_cannot_be_is_refused(tmp_path, model, preprocess, message):
    with pytest.raises(UserError, match=message):
        new_clip(tmp_path / "new", json.loads(json.dumps(model)), preprocess, CAPTIONS)
    assert not (tmp_path / "new").exists()
