"""Models of the user's own: found, named, given settings; mistakes are told."""

import runpy
import sys
import textwrap
import warnings
from pathlib import Path

import forked
import pytest
import recbole.data.dataset
from recbole.config import Config
from recbole.model.general_recommender import BPR
from recbole.utils import get_model, get_trainer
from tiny import write_tiny

import recbole_whisperlite
from recbole_whisperlite import cli
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model import own
from recbole_whisperlite.model.inputs import stated_inputs

ROOT = Path(recbole_whisperlite.__file__).parent.parent
MODEL = """
    from recbole.model.general_recommender import {base}

    class {name}({base}):
        {body}
"""


def source(name="Mine", base="BPR", body="pass"):
    return textwrap.dedent(MODEL).format(name=name, base=base, body=body)


def config(name, **settings):
    return Config(name, "ml-100k", config_dict=settings)


def test_a_class_is_found_by_module_and_name_and_then_by_name(write_module):
    write_module("shop.mine", source())
    assert config("shop.mine:Mine")["model"] == "Mine"
    assert get_model("Mine").__module__ == "shop.mine"


def test_a_model_derived_from_recboles_has_its_settings(write_module):
    write_module("shop", source(body="settings = {'learning_rate': 0.5, 'mine': 3}"))
    made, stock = config("shop:Mine"), config("BPR")
    assert made["embedding_size"] == stock["embedding_size"] == 64
    assert (made["learning_rate"], made["mine"]) == (0.5, 3)
    assert config("shop:Mine", mine=4)["mine"] == 4


def test_a_model_derived_from_ours_has_its_settings_dataset_trainer_and_inputs(
    write_module, prepare, tiny
):
    write_module(
        "shop",
        """
        from recbole_whisperlite.model.whisperliteplus import WhisperLitePlus

        class Mine(WhisperLitePlus):
            settings = {"temperature": 0.5}
        """,
    )
    made, data, _ = prepare("shop:Mine", tiny, encoder="tfidf")
    stock = Config("WhisperLitePlus", "ml-100k")
    assert made["temperature"] == 0.5 != stock["temperature"]
    assert made["neighbor_num"] == stock["neighbor_num"]
    assert made["train_batch_size"] == stock["train_batch_size"]
    assert isinstance(data, recbole.data.dataset.WhisperLitePlusDataset)
    assert get_trainer(None, "Mine") is get_trainer(None, "WhisperLitePlus")
    assert "history" in stated_inputs(get_model("Mine"), made.final_config_dict)


@pytest.mark.parametrize(
    "family, base", [("sequential", "SASRec"), ("context_aware", "DeepFM")]
)
def test_classes_of_every_family_train_on_the_same_requests(
    family, base, write_module, prepare, tiny
):
    text = source("Mine", base).replace("general_recommender", f"{family}_recommender")
    write_module("shop", text)
    made, data, loaders = prepare("shop:Mine", tiny, embedding_size=4, epochs=1)
    assert made["embedding_size"] == 4 and made["n_heads"] in (2, None)
    model = get_model("Mine")(made, loaders[0]._dataset)
    trainer = get_trainer(made["MODEL_TYPE"], "Mine")(made, model)
    trainer.fit(*loaders[:2], saved=False)
    stock = prepare(base, tiny)[2]
    assert loaders[2].fingerprint == stock[2].fingerprint


def test_a_class_that_is_defined_anew_keeps_nothing_of_the_old_one(write_module):
    ours = "recbole_whisperlite.model.whisperlite"
    for base, dataset in (("WhisperLite", True), ("BPR", False)):
        stock = "recbole.model.general_recommender" if base == "BPR" else ours
        write_module("shop", f"from {stock} import {base}\nclass Mine({base}): pass\n")
        own.model_class("shop:Mine")
        assert hasattr(recbole.data.dataset, "MineDataset") is dataset


def test_a_class_has_the_settings_of_its_own_bases_and_of_their_yaml_files(
    write_module,
):
    write_module("shop.base", source("Base"))
    Path("shop/Base.yaml").write_text("first: 1e-3\nsecond: 2\n")
    write_module(
        "shop.mine",
        """
        from shop.base import Base

        class Mine(Base):
            settings = {"second": 3}
        """,
    )
    made = config("shop.mine:Mine")
    assert (made["first"], made["second"]) == (0.001, 3)
    assert sorted(path.name for path in own.files("shop.mine:Mine")) == [
        "Base.yaml",
        "base.py",
        "mine.py",
    ]


@pytest.mark.parametrize(
    "name, text, told",
    [
        ("nowhere:Mine", "", "module nowhere cannot be imported: ModuleNotFoundError"),
        (
            "shop:Mine",
            "import nowhere",
            "cannot be imported.*No module named 'nowhere'",
        ),
        ("shop:Mine", "class Mini: pass", "has no 'Mine'. Did you mean 'Mini'?"),
        ("shop:", "class Mini: pass", "has no ''. Its classes are Mini."),
        (":Mine", "", "cannot be imported: ValueError"),
        ("shop:Mine", "class Mine: pass", "is not a model: .*GeneralRecommender"),
        ("shop:Mine", "Mine = 3", "3 is not a model"),
        ("shop:NGCF", source("NGCF"), "shop:NGCF cannot be used .*Give your class"),
        ("shop:Bpr", source("Bpr"), "has a model 'BPR'"),
        ("shop:whisperlite", source("whisperlite"), "has a model 'WhisperLite'"),
        ("shop:XGBoost", source("XGBoost"), "has a model 'XGBoost'"),
        ("shop:Mine", source(body="settings = [1]"), "Mine.settings must hold"),
    ],
)
def test_mistakes_are_one_error_and_recboles_models_stay(
    name, text, told, write_module
):
    write_module("shop", text)
    with pytest.raises(UserError, match="(?s)" + told.replace("?", r"\?")) as error:
        config(name)
    assert str(error.value).count("\n") == 0
    assert get_model("BPR") is BPR
    assert get_model("WhisperLite").__module__.startswith("recbole_whisperlite.")


@pytest.mark.parametrize("content, told", [("a: [", "is not yaml"), ("a", "must hold")])
def test_a_broken_yaml_file_is_named(content, told, write_module):
    write_module("shop", source())
    Path("Mine.yaml").write_text(content)
    with pytest.raises(UserError, match=f"Mine.yaml {told}"):
        config("shop:Mine")


def test_a_misspelt_setting_is_refused_with_the_right_one(write_module):
    write_module("shop", source(body="settings = {'my_alpha': 1}"))
    with pytest.raises(UserError, match="'my_alhpa'. Did you mean 'my_alpha'"):
        config("shop:Mine", my_alhpa=2)


@pytest.mark.parametrize(
    "body, stated",
    [
        ("pass", None),
        ("inputs = 'user'", ["user"]),
        (
            "inputs = ('item id', 'weather', 'request')",
            ["request", "item id", "weather"],
        ),
        ("inputs = lambda settings: ['user'] * settings['use']", []),
    ],
)
def test_inputs_are_what_the_class_says(body, stated, write_module):
    write_module("shop", source(body=body))
    assert stated_inputs(own.model_class("shop:Mine"), {"use": 0}) == stated


@pytest.mark.parametrize("given", ["3", "('user', 3)"])
def test_inputs_that_are_no_words_are_told(given, write_module):
    write_module("shop", source(body=f"inputs = {given}"))
    with pytest.raises(UserError, match="Mine.inputs must be"):
        stated_inputs(own.model_class("shop:Mine"), {})


def test_two_names_that_differ_in_letters_alone_are_both_found(write_module):
    write_module("shop", source("Mine") + source("MINE"))
    first, second = own.model_class("shop:Mine"), own.model_class("shop:MINE")
    assert get_model("Mine") is first and get_model("MINE") is second


SCRIPT = """
from recbole_whisperlite.model.requestpop import RequestPop
import recbole_whisperlite

@recbole_whisperlite.register_model
class Mine(RequestPop):
    settings = {"topk": [3], "valid_metric": "NDCG@3"}

if __name__ == "__main__":
    from recbole.quick_start import run_recbole
    settings = {"data_path": ".", "state": "ERROR"}
    by_name = run_recbole("Mine", "tiny", config_dict=settings)
    by_class = run_recbole(Mine, "tiny", config_dict=settings)
    assert by_name == by_class
    print(sorted(by_name["test_result"])[0])
"""


def test_a_script_registers_its_own_class(tmp_path):
    write_tiny(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT)

    def work(folder):
        warnings.simplefilter("ignore")
        runpy.run_path("script.py", run_name="__main__")

    status, printed = forked.end_of(work, tmp_path, tmp_path / "out.txt", limit=300)
    assert status == 0, printed
    assert printed.strip().endswith("hit@3")


OWN = """
from recbole_whisperlite.model.requestpop import RequestPop

class Mine(RequestPop):
    settings = {"my_alpha": 1, "train_neg_sample_args": None}
"""


def test_two_processes_find_a_model_in_the_current_folder(tmp_path):
    write_tiny(tmp_path)
    (tmp_path / "mine.py").write_text(OWN)

    def work(folder):
        # as a command does that is installed elsewhere: no current folder in the path
        sys.path[:] = [path for path in sys.path if path]
        flags = ["--model=mine:Mine", "--dataset=tiny", "--data_path=.", "--topk=[3]"]
        flags += ["--valid_metric=NDCG@3", "--my_alpha=2", "--nproc=2", "--port=5702"]
        flags += ["--result_file=out.json"]
        sys.argv = ["recbole-whisperlite", *flags]
        return cli.run(flags)

    status, printed = forked.end_of(work, tmp_path, tmp_path / "out.txt", limit=300)
    assert status == 0, printed
    assert '"my_alpha": 2' in (tmp_path / "out.json").read_text()
    assert "mine:Mine on tiny" in printed


def test_a_mistake_on_the_command_line_is_status_2(write_module, monkeypatch, capsys):
    write_module("shop", "class Mine: pass")
    flags = ["--model=shop:Mine", "--dataset=ml-100k"]
    monkeypatch.setattr(sys, "argv", ["run_recbole.py", *flags])
    assert cli.run(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "is not a model" in error
