"""Checkpoints of version 0.1, whose WhisperLite is two models now."""

import pytest
import torch
from recbole.config import Config

from recbole_whisperlite.compat.checkpoint import load_checkpoint
from recbole_whisperlite.errors import UserError


def saved(path, **settings):
    config = Config("WhisperLite", "ml-100k")
    config.final_config_dict.update(settings)
    torch.save({"config": config, "state_dict": {}}, path, pickle_protocol=4)
    return str(path)


def test_a_whisperlite_of_version_0_1_is_refused_in_one_sentence(tmp_path):
    old = saved(tmp_path / "old.pth", use_memory=True)
    with pytest.raises(UserError, match="old.pth was written by version 0.1") as error:
        load_checkpoint(old)
    assert "train WhisperLite (the paper's) or WhisperLitePlus" in str(error.value)
    new = load_checkpoint(saved(tmp_path / "new.pth"))
    assert new["config"]["model"] == "WhisperLite"
