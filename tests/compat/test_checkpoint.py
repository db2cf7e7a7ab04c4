"""Checkpoints of version 0.1, whose WhisperLite is two models now."""

from pathlib import Path

import pytest
import torch
from recbole.config import Config

from recbole_whisperlite.compat.checkpoint import load_checkpoint
from recbole_whisperlite.compat.saved_data import save_checkpoint
from recbole_whisperlite.errors import UserError


def saved(path, **settings):
    config = Config("WhisperLite", "ml-100k")
    config.final_config_dict.update(settings)
    if "use_memory" in settings:
        del config.final_config_dict["known_at_test"]  # which 0.1 did not have
    torch.save({"config": config, "state_dict": {}}, path, pickle_protocol=4)
    return str(path)


def test_a_whisperlite_of_version_0_1_is_refused_in_one_sentence(tmp_path):
    old = saved(tmp_path / "old.pth", use_memory=True)
    with pytest.raises(UserError, match="old.pth was written by version 0.1") as error:
        load_checkpoint(old)
    assert "train WhisperLite (the paper's) or WhisperLitePlus" in str(error.value)
    new = load_checkpoint(saved(tmp_path / "new.pth"))
    assert new["config"]["model"] == "WhisperLite"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_checkpoint_of_a_gpu_is_read_without_one(tmp_path, monkeypatch):
    config = Config("WhisperLite", "ml-100k")
    config.final_config_dict["device"] = torch.device("cuda")
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
    state = {"config": config, "state_dict": {"weight": torch.arange(3.0)}}
    torch.save(state, tmp_path / "gpu.pth", pickle_protocol=4)
    read = load_checkpoint(tmp_path / "gpu.pth")
    assert read["state_dict"]["weight"].tolist() == [0, 1, 2]
    assert read["config"]["device"] == torch.device("cpu")


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "model.pth"
    save_checkpoint({"epoch": 1}, path)

    def full(state, file, **options):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="model.pth cannot be written: .*No space left"):
        save_checkpoint({"epoch": 2}, path)
    assert torch.load(path) == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["model.pth"]
