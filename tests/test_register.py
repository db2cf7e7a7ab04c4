"""Registration: what it opens, and that RecBole's own models do not notice it."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import recbole
from recbole.config import Config
from recbole.utils import get_model, get_trainer
from tiny import write_tiny

import recbole_whisperlite
from recbole_whisperlite.config.settings import REQUEST_SETTINGS
from recbole_whisperlite.data.dataset import RequestDatasetMixin
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.names import our_models
from recbole_whisperlite.paths import PROPERTIES

ROOT = Path(recbole_whisperlite.__file__).parent.parent
ML_100K = Path(recbole.__file__).parent / "dataset_example" / "ml-100k"


def test_registering_twice_does_nothing_more():
    before = Config._load_internal_config_dict
    recbole_whisperlite.register()
    recbole_whisperlite.register()
    assert Config._load_internal_config_dict is before


@pytest.mark.parametrize("name", our_models())
def test_recbole_finds_our_models_by_name(name):
    model = get_model(name)
    assert model.__name__ == name
    assert get_trainer(model.type, name).__module__.startswith(
        ("recbole_whisperlite", "recbole.trainer")
    )


STOCK = """
    import importlib, json, os, random, sys
    registered = sys.argv[1] == "on"
    folder = sys.argv[2]
    import recbole_whisperlite
    if not registered:  # the package keeps out of RecBole
        del sys.meta_path[0]
    from recbole_whisperlite import compat
    compat.apply()
    sys.argv = ["test"]
    import torch
    torch.set_num_threads(1)
    from recbole.config import Config
    from recbole.data.dataset import Dataset
    from recbole.quick_start import run_recbole
    file = Config._load_internal_config_dict.__code__.co_filename
    assert registered == file.endswith("register.py")
    results = {}
    for model in ("BPR", "NGCF", "BERT4Rec", "DeepFM"):
        settings = {
            "epochs": 1, "data_path": folder, "state": "ERROR", "show_progress": False,
            "checkpoint_dir": os.path.join(folder, "saved"), "embedding_size": 8,
            "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"]},
            "metric_decimal_place": 12,
        }
        if model != "DeepFM":  # long lists, so that untrained models hit something
            settings.update(topk=[100], valid_metric="MRR@100")
        if model == "BERT4Rec":
            settings["train_neg_sample_args"] = None
        if model == "DeepFM":
            settings["threshold"] = {"rating": 4}
        result = run_recbole(model, "ml-head", config_dict=settings)
        config = Config(model, "ml-100k", config_dict=settings).final_config_dict
        results[model] = {
            "valid": dict(result["best_valid_result"]),
            "test": dict(result["test_result"]),
            "config of ml-100k": {k: str(v) for k, v in sorted(config.items())},
        }
    print("RESULT" + json.dumps(results))
"""


def test_stock_models_give_the_same_numbers_with_and_without_us(tmp_path):
    home = tmp_path / "ml-head"
    home.mkdir()
    lines = (ML_100K / "ml-100k.inter").read_text().splitlines(keepends=True)
    (home / "ml-head.inter").write_text("".join(lines[:1501]))
    runs = {
        switch: subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(STOCK), switch]
            + [str(tmp_path)],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for switch in ("on", "off")
    }
    results = {}
    for switch, run in runs.items():
        out, errors = run.communicate()
        assert run.returncode == 0, errors[-3000:]
        results[switch] = json.loads(out.rpartition("RESULT")[2])
    assert results["on"] == results["off"]
    for result in results["on"].values():
        assert any(value > 0 for value in result["test"].values())


def test_ml_100k_has_requests_for_our_models_and_stays_stock_for_others():
    assert "request_template" not in Config("BPR", "ml-100k").final_config_dict
    ours = Config("WhisperLite", "ml-100k")
    assert "decade" in ours["request_template"]
    yaml_file = str(PROPERTIES / "dataset" / "ml-100k.yaml")
    same_test_set = Config("BPR", "ml-100k", config_file_list=[yaml_file])
    for key in ("request_template", "eval_args", "metrics", "valid_metric"):
        assert same_test_set[key] == ours[key]


def test_precedence_is_yaml_then_file_then_dict_then_command_line(
    tmp_path, monkeypatch
):
    default = Config("WhisperLite", "ml-100k")["learning_rate"]
    file = tmp_path / "mine.yaml"
    file.write_text("learning_rate: 0.5\n")
    from_file = Config("WhisperLite", "ml-100k", [str(file)])
    assert from_file["learning_rate"] == 0.5 != default
    from_dict = Config(
        "WhisperLite", "ml-100k", [str(file)], config_dict={"learning_rate": 0.25}
    )
    assert from_dict["learning_rate"] == 0.25
    monkeypatch.setattr(sys, "argv", ["x", "--learning_rate=0.125"])
    from_line = Config(
        "WhisperLite", "ml-100k", [str(file)], config_dict={"learning_rate": 0.25}
    )
    assert from_line["learning_rate"] == 0.125


@pytest.mark.parametrize(
    "model, told",
    [
        ("WisperLite", "Did you mean 'WhisperLite'?"),
        ("bpr", "Did you mean 'BPR'?"),
        ("whisperlite", "Did you mean 'WhisperLite'?"),
        ("Nothing_like_it", "BPR, "),
    ],
)
def test_an_unknown_model_ends_in_an_error_that_lists_the_models(model, told):
    with pytest.raises(UserError, match="There is no model") as error:
        Config(model, "ml-100k")
    assert told in str(error.value)


def test_an_unknown_setting_ends_in_an_error_that_lists_ours():
    with pytest.raises(UserError, match="'contrastive_wieght'") as error:
        Config("WhisperLite", "ml-100k", config_dict={"contrastive_wieght": 1})
    assert "Did you mean 'contrastive_weight'?" in str(error.value)
    assert "request_template" in str(error.value)


def test_settings_of_other_models_and_of_recboles_code_are_no_mistakes():
    Config("WhisperLite", "ml-100k", config_dict={"n_layers": 2, "encoding": "utf-8"})


def test_flags_of_another_program_are_not_ours_to_refuse(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mine.py", "--durations=10"])
    Config("WhisperLite", "ml-100k")
    monkeypatch.setattr(sys, "argv", ["run_recbole.py", "--durations=10"])
    with pytest.raises(UserError, match="'durations'"):
        Config("WhisperLite", "ml-100k")


def test_a_missing_dataset_ends_in_an_error_that_lists_what_is_there(tiny, prepare):
    with pytest.raises(UserError, match="Did you mean 'tiny'") as error:
        prepare("BPR", tiny, dataset="tinny")
    assert "stylist-mini" in str(error.value) and "data_path" in str(error.value)
    (tiny / "tiny" / "tiny.inter").rename(tiny / "tiny" / "tiny.iter")
    with pytest.raises(
        UserError, match="tiny.inter: this file does not exist"
    ) as error:
        prepare("BPR", tiny)
    assert "tiny.iter" in str(error.value)


@pytest.mark.parametrize("model", ["WhisperLite", "BPR", "SASRec", "DeepFM"])
def test_a_folder_in_the_contracts_layout_needs_no_yaml(model, tmp_path, prepare):
    elsewhere = write_tiny(tmp_path / "some" / "where", name="shop")
    config, data, _ = prepare(model, elsewhere, dataset="shop")
    assert isinstance(data, RequestDatasetMixin)
    assert data.request_texts[1] and data.item_texts[1] == "Thing 1"
    assert config["eval_args"]["split"] == {"LS": "valid_and_test"}


def test_whisperlite_without_requests_says_how_to_get_them(tmp_path, prepare):
    write_tiny(tmp_path)
    (tmp_path / "tiny" / "tiny.request").unlink()
    with pytest.raises(UserError, match="request_template"):
        prepare("WhisperLite", tmp_path)


def test_settings_in_use_are_in_exactly_one_of_our_yaml_files():
    import yaml

    keys = {}
    for path in [REQUEST_SETTINGS, *(PROPERTIES / "model").glob("*.yaml")]:
        for key in yaml.safe_load(path.read_text("utf-8")):
            keys.setdefault(key, []).append(path.name)
    shared = {"eval_args", "metrics", "topk", "valid_metric"}
    models = {path.name for path in (PROPERTIES / "model").glob("*.yaml")}
    for key, files in keys.items():
        if key not in shared:
            assert not ("request.yaml" in files and models & set(files)), (key, files)
