"""A CLIP model of two layers that learns the names of four colours in a few seconds."""

import json

import numpy as np
import pytest
import torch

from squares import COLOURS, square


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    """A folder with colours.json and weights.pt, trained on squares."""
    import open_clip

    folder = tmp_path_factory.mktemp("colours")
    config = {
        "embed_dim": 16,
        "vision_cfg": {
            "image_size": 32,
            "patch_size": 8,
            "layers": 2,
            "width": 32,
            "head_width": 16,
        },
        "text_cfg": {
            "context_length": 12,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    (folder / "colours.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "colours.json")
    torch.manual_seed(0)
    model = open_clip.create_model("colours")
    _train(model, open_clip.get_tokenizer("colours"))
    torch.save(model.state_dict(), folder / "weights.pt")
    return folder


def _train(model, tokenizer, steps=60):
    rng = np.random.RandomState(0)
    mean, std = model.visual.preprocess_cfg["mean"], model.visual.preprocess_cfg["std"]
    mean, std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]
    tokens = tokenizer(list(COLOURS))
    optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
    for _ in range(steps):
        classes = rng.randint(len(COLOURS), size=32)
        pictures = [
            square(list(COLOURS)[c], *rng.randint(0, 33 - size, 2), size)
            for c, size in zip(classes, rng.randint(8, 20, 32))
        ]
        pixels = np.stack([np.asarray(picture) for picture in pictures]) / 255
        pixels = torch.from_numpy(pixels).float().permute(0, 3, 1, 2)
        images = model.encode_image((pixels - mean) / std, normalize=True)
        logits = images @ model.encode_text(tokens, normalize=True).T * 10
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(classes))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.fixture(scope="session")
def flags(clip_folder):
    """The options that name the model, for a command line."""
    return [
        "--encoder=open_clip",
        f"--clip_model={clip_folder / 'colours.json'}",
        f"--clip_pretrained={clip_folder / 'weights.pt'}",
        "--device=cpu",
    ]


@pytest.fixture(scope="session")
def clip(clip_folder):
    from recbole_whisperlite.encoder.clip import load_clip

    return load_clip(
        "open_clip",
        clip_model=str(clip_folder / "colours.json"),
        clip_pretrained=str(clip_folder / "weights.pt"),
    )


@pytest.fixture
def photos(tmp_path):
    """A folder of twelve squares, three of each colour: red-0.png, …"""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.RandomState(1)
    for colour in COLOURS:
        for number in range(3):
            picture = square(colour, *rng.randint(0, 20, 2))
            picture.save(folder / f"{colour}-{number}.png")
    return folder


@pytest.fixture
def run(capsys):
    """Return a function (*argv) -> (exit status, stdout, stderr) of the command line."""
    from recbole_whisperlite.cli import main

    def run(*argv):
        status = main(["clip", *map(str, argv)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
