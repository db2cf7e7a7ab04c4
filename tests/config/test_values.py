"""What the annotated yaml files accept, and the sentence for what they do not."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from recbole.config import Config

from recbole_whisperlite.config.annotated import OVERALL, Setting, read_settings
from recbole_whisperlite.config.datasets import RECBOLE
from recbole_whisperlite.config.settings import REQUEST_SETTINGS
from recbole_whisperlite.config.values import check_values, in_words
from recbole_whisperlite.encoder.options import cache_folder
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.names import find_model, our_models
from recbole_whisperlite.paths import PROPERTIES

FILES = [
    OVERALL,
    REQUEST_SETTINGS,
    *(PROPERTIES / "model" / f"{name}.yaml" for name in our_models()),
]


def is_accepted(value, kind, meaning="What it is.", default="1"):
    table = {"it": Setting("it", default, kind, meaning)}
    try:
        check_values({"it": value}, table)
    except UserError:
        return False
    return True


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_default_is_accepted(path):
    check_values(yaml.safe_load(path.read_text("utf-8")), read_settings(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_number_has_a_range(path):
    for setting in read_settings(path).values():
        for each in (setting, *setting.entries.values()):
            if {"int", "float"} & set(each.kind.split()):
                assert each.accepted, each.name


def test_the_defaults_of_recbole_are_recboles():
    ours = yaml.safe_load(OVERALL.read_text("utf-8"))
    theirs = {}
    for name in ("overall.yaml", "dataset/sample.yaml"):
        theirs.update(
            yaml.safe_load((RECBOLE / "properties" / name).read_text("utf-8"))
        )
    # its example of a dataset; both ways of splitting stand in our table
    ours.pop("load_col"), ours["eval_args"]["split"].pop("LS")
    assert ours == {name: theirs[name] for name in ours}


@pytest.mark.parametrize(
    "kind, accepted, yes, no",
    [
        ("bool", "", [True, False], [1, 0, "yes", None]),
        ("int", "[1, 5]", [1, 5, np.int64(3)], [0, 6, 2.0, True, "3", None, [3]]),
        ("int", "[0, inf)", [0, 2**31 - 1], [-1, 2**31, float("inf")]),
        ("float", "[0, 1)", [0, 0.99, np.float32(0.5)], [1, -1e-9, float("nan"), True]),
        ("float", "(0, inf)", [1e-30, 7], [0, float("inf"), "1e-3"]),
        ("float", "[-1, 1]", [-1, 1.0], [-1.01]),
        ("str", "['a', 'b']", ["a", "b"], ["c", "", "A", "ab", None]),
        (
            "str",
            "['full', 'uniN']",
            ["full", "uni7", "uni100"],
            ["uni", "uni0", "uniN"],
        ),
        ("str", "", ["x"], ["", 1, None]),
        ("list of int", "[1, 9]", [[1, 9], (3,), []], [[0], [1.5], 3, "[1]", [True]]),
        ("int or list of int", "[1, 9]", [3, [3]], [0, [0], "3"]),
        ("dict or None", "", [{}, None], [[], "{}"]),
    ],
)
def test_types_and_ranges(kind, accepted, yes, no):
    meaning = f"What it is, ranging in {accepted}. More of it." if accepted else "It."
    assert [value for value in yes if not is_accepted(value, kind, meaning)] == []
    assert [value for value in no if is_accepted(value, kind, meaning)] == []


def test_none_is_accepted_where_it_is_the_default():
    assert is_accepted(None, "int", "It, ranging in [1, 2].", default="~")
    assert not is_accepted(None, "int", "It, ranging in [1, 2].", default="1")


@pytest.mark.parametrize(
    "kind, accepted, words",
    [
        ("bool", "", "True or False"),
        ("int", "[1, inf)", "an integer of at least 1"),
        ("int", "[2, 8]", "an integer from 2 up to 8"),
        ("float", "(0, inf)", "a number above 0"),
        ("float", "[0, 1)", "a number from 0 to just below 1"),
        ("str", "['a', 'b', 'c']", "a, b or c"),
        ("list of int", "[1, inf)", "a list in which each is an integer of at least 1"),
        ("int or list of int", "[1, 3]", "an integer from 1 up to 3 or a list of such"),
        ("dict or None", "", "a dict or None (~ in yaml)"),
    ],
)
def test_what_is_accepted_in_words(kind, accepted, words):
    meaning = f"It, ranging in {accepted}." if accepted else "It."
    assert in_words(Setting("it", "1", kind, meaning)) == words


def test_the_keys_of_a_dict_are_settings_too(tmp_path):
    path = tmp_path / "some.yaml"
    path.write_text(
        "pair:      # (dict) Two.\n"
        "  first: 1 # (int) One, ranging in [1, 2].\n"
        "  second:  # (dict) The other.\n"
        "    third: a # (str) A third.\n"
        "last: 2    # (int) Not of the pair, ranging in [1, 2].\n"
    )
    table = read_settings(path)
    assert list(table) == ["pair", "last"]
    assert list(table["pair"].entries) == ["first", "second"]
    check_values({"pair": {"first": 2, "second": {"third": "x"}}}, table)
    with pytest.raises(
        UserError, match="pair: first is 3; it must be an integer from 1"
    ):
        check_values({"pair": {"first": 3}}, table)
    with pytest.raises(
        UserError, match="pair: second has no 'thrid'. Did you mean 'th"
    ):
        check_values({"pair": {"second": {"thrid": "x"}}}, table)


@pytest.mark.parametrize(
    "model, settings, told",
    [
        ("WhisperLite", {"temperature": 0}, "temperature is 0; .* a number above 0"),
        ("WhisperLite", {"contrastive": "infonec"}, "Did you mean 'infonce'"),
        ("WhisperLitePlus", {"history_dropout_prob": 1}, "to just below 1"),
        ("WhisperLitePlus", {"fit_queries": -1}, "of at least 0"),
        # a setting of the model from which it is derived
        ("WhisperLitePlus", {"mlp_hidden_size": [0]}, "each is an integer from 1"),
        ("BPR", {"learning_rate": -0.1}, "learning_rate is -0.1"),
        (
            "BPR",
            {"topk": 0},
            "topk is 0; it must be an integer of at least 1 or a list",
        ),
        ("SASRec", {"train_batch_size": "many"}, "train_batch_size is 'many'"),
        ("BPR", {"known_at_test": "always"}, "it must be before_request or train"),
        ("BPR", {"train_neg_sample_args": {"sample_num": 0}}, "args: sample_num is 0"),
        ("BPR", {"user_inter_num_interval": "[5"}, "an interval such as"),
        ("BPR", {"train_neg_sample_args": {"dynamic": True}}, "candidate_num is 0"),
        ("BPR", {"eval_args": {"mode": "uni0"}}, "eval_args: mode is 'uni0'"),
        ("BPR", {"eval_args": {"split": {}}}, "it must have either RS or LS"),
        ("BPR", {"eval_args": {"split": {"RS": [0.8, 0.2]}}}, "must be three numbers"),
        ("BPR", {"metrics": ["ndgc"]}, "no metric 'ndgc'. Did you mean 'ndcg'"),
        ("BPR", {"valid_metric": "NDCG"}, "Set valid_metric to NDCG@10."),
        ("BPR", {"valid_metric": "NDCG@x"}, "Set valid_metric to NDCG@10."),
        ("BPR", {"valid_metric": "NDCG@7"}, r"or set topk to \[10, 7\]"),
        ("BPR", {"metrics": ["AUC"], "valid_metric": "AUC@10"}, "write it without @"),
        ("BPR", {"data_path": 3}, "data_path is 3; it must be non-empty text"),
    ],
)
def test_a_run_is_refused_before_data_is_read(tiny, model, settings, told):
    given = {"data_path": str(tiny), **settings}
    with pytest.raises(UserError, match=told):
        Config(model, "tiny", config_dict=given)


def test_what_a_model_does_not_have_may_be_switched_off(tiny):
    given = {"data_path": str(tiny), "use_memory": False}
    assert Config("WhisperLite", "tiny", config_dict=given)["use_memory"] is False
    with pytest.warns(FutureWarning, match="goes on without it"):  # until 0.3
        Config("WhisperLite", "tiny", config_dict={**given, "use_memory": True})
    with pytest.raises(UserError, match="use_memory is a setting of WhisperLitePlus"):
        Config("WhisperLite", "tiny", config_dict={**given, "use_memory": "much"})


def test_single_predictions_and_ranked_lists_exclude_each_other(tiny):
    given = {"data_path": str(tiny), "eval_args": {"mode": "labeled"}}
    with pytest.raises(
        UserError, match="mode is labeled, .* Recall is of ranked lists"
    ):
        Config("BPR", "tiny", config_dict=given)


def test_a_place_that_cannot_be_written_to_is_told_first(tiny):
    for name in ("checkpoint_dir", "export", "result_file"):
        (tiny / "file").touch()
        given = {"data_path": str(tiny), name: str(tiny / "file" / "x" / "y")}
        with pytest.raises(
            UserError, match=f"{name} is .*file is not a writable folder"
        ):
            Config("BPR", "tiny", config_dict=given)
    given = {"data_path": str(tiny), "unit_file": str(tiny)}
    with pytest.raises(UserError, match="a folder; give a file in it"):
        Config("BPR", "tiny", config_dict=given)


def test_a_full_disk_is_told_first(tiny, monkeypatch):
    full = SimpleNamespace(free=10)
    monkeypatch.setattr("shutil.disk_usage", lambda path: full)
    with pytest.raises(UserError, match="its disk is full: 10 bytes are free"):
        Config("BPR", "tiny", config_dict={"data_path": str(tiny)})


@pytest.mark.parametrize("model", ["GRU4RecF", "SASRecF", "FDSA", "S3Rec"])
def test_features_that_the_items_do_not_have_are_named(tiny, prepare, model):
    with pytest.raises(UserError, match="reads the column class of .item"):
        prepare(model, tiny, load_col=None)


@pytest.mark.parametrize("name", ["LightGBM", "lightgbm", "XGBoost"])
def test_recboles_tree_models_are_known_by_both_names(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "recbole.model.exlib_recommender", None)
    with pytest.raises(UserError, match="run pip install lightgbm xgboost"):
        find_model(name)


def test_a_dict_of_the_command_line_needs_quotes_and_it_is_said_how(tiny):
    given = {"data_path": str(tiny), "eval_args": "{mode: full}"}
    with pytest.raises(
        UserError, match=r"must be a dict. On the .* \{'mode': 'full'\}"
    ):
        Config("BM25", "tiny", config_dict=given)


def test_without_a_home_it_is_said_what_to_set(tiny, monkeypatch):
    def unknown(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.expanduser", unknown)
    with pytest.raises(UserError, match="no home folder .* Set cache_dir"):
        cache_folder({"cache_dir": None})
