"""Settings of encoders, and CLIP models of two layers that the tests make themselves."""

import json

import pytest
import torch


@pytest.fixture
def settings(tmp_path):
    """Every setting of an encoder; the tests change one or two."""
    return {
        "encoder": "tfidf",
        "encoder_dim": 8,
        "clip_model": "ViT-B-32",
        "clip_pretrained": "openai",
        "sentence_transformers_model": "a-model",
        "request_vectors_file": None,
        "item_vectors_file": None,
        "long_text": "truncate",
        "encode_batch_size": 4,
        "vector_dtype": "float32",
        "cache_dir": str(tmp_path / "vectors"),
        "show_progress": False,
    }


@pytest.fixture(scope="session")
def clip_config():
    """Return a function (custom_text, **text settings) -> model config of open_clip's."""

    def make(custom_text=False, **text):
        return {
            "embed_dim": 16,
            "custom_text": custom_text,
            "vision_cfg": {
                "image_size": 32,
                "patch_size": 16,
                "layers": 1,
                "width": 32,
                "head_width": 16,
            },
            "text_cfg": {
                "context_length": 16,
                "vocab_size": 49408,
                "width": 32,
                "heads": 2,
                "layers": 2,
                **text,
            },
        }

    return make


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory, clip_config):
    """Return a function -> folder with tiny_clip.json and weights.pt, seeded."""
    import open_clip

    def make(seed=0, **settings):
        folder = tmp_path_factory.mktemp("clip")
        config = clip_config(**settings)
        (folder / "tiny_clip.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder / "tiny_clip.json")
        torch.manual_seed(seed)
        model = open_clip.create_model("tiny_clip")
        for parameter in model.parameters():
            # At open_clip's own start the positions and most layers hardly matter.
            torch.nn.init.normal_(parameter, std=0.3)
        torch.save(model.state_dict(), folder / "weights.pt")
        return folder

    return make


@pytest.fixture(scope="session")
def clip_folder(make_clip):
    return make_clip()
