"""Settings that RecBole would take for something else without a word."""

import pytest
from recbole.config import Config

from recbole_whisperlite.errors import UserError


def made(tiny, model="WhisperLitePlus", **settings):
    return Config(model, "tiny", config_dict={"data_path": str(tiny), **settings})


@pytest.mark.parametrize("word, value", [("no", False), ("OFF", False), ("yes", True)])
def test_a_switch_may_be_a_word(tiny, word, value):
    assert made(tiny, use_history=word)["use_history"] is value


@pytest.mark.parametrize("word", ["n", "of", "", 2, [True]])
def test_what_is_no_switch_is_refused(tiny, word):
    with pytest.raises(UserError, match="use_history is .* must be True or False"):
        made(tiny, use_history=word)


@pytest.mark.parametrize("model", ["WhisperLitePlus", "BPR"])
def test_what_eval_args_leave_out_is_that_of_the_dataset(tiny, model):
    """RecBole would split at random."""
    args = made(tiny, model, eval_args={"mode": "uni3"})["eval_args"]
    assert args["split"] == {"LS": "valid_and_test"} and args["order"] == "TO"
    assert args["mode"] == {"valid": "uni3", "test": "uni3"}


def test_without_requests_recboles_defaults_are_recboles(tiny):
    (tiny / "tiny" / "tiny.request").unlink()
    args = made(tiny, "BPR", eval_args={"mode": "uni3"})["eval_args"]
    assert args["split"] == {"RS": [0.8, 0.1, 0.1]} and args["order"] == "RO"


def test_a_key_that_recbole_would_ignore_is_refused(tiny):
    with pytest.raises(UserError, match="no 'splti'. Did you mean 'split'"):
        made(tiny, eval_args={"splti": {"RS": [0.8, 0.1, 0.1]}})
    with pytest.raises(UserError, match="eval_args is 'full'; it must be a dict"):
        made(tiny, eval_args="full")
