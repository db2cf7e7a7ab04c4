"""A model of the user's own goes through a whole benchmark with no file beside it."""

import json
from pathlib import Path

import pytest
import yaml

from recbole_whisperlite import cli, own_code
from recbole_whisperlite.benchmark import plan, report
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.metric import known

MINE = """
    import torch
    from recbole_whisperlite.model.untrained import UntrainedRequestModel

    class Mine(UntrainedRequestModel):
        settings = {"my_alpha": 0.5, "train_neg_sample_args": None}
        inputs = ("request", "item text", "item id")

        def __init__(self, config, dataset):
            super().__init__(config, dataset)
            self.request = torch.from_numpy(dataset.request_vectors())
            self.item = torch.from_numpy(dataset.item_vectors())
            item = dataset.inter_feat[self.ITEM_ID]
            count = torch.bincount(item, minlength=self.n_items)
            self.popularity = config["my_alpha"] * count.log1p()

        def score_catalogue(self, request):
            return self.request[request] @ self.item.T + self.popularity
"""
NAME = "shop.mine:Mine"


@pytest.fixture(autouse=True)
def own_code_is_allowed(monkeypatch):
    """What --own-code does, which each command with such a yaml needs."""
    monkeypatch.setenv(own_code.ENVIRONMENT, "1")


@pytest.fixture
def mine(write_module):
    assert MINE.strip().count("\n") < 25
    return write_module("shop.mine", MINE)


def row(name="Mine"):
    written = json.loads(Path("results/tiny/benchmark.json").read_text())
    return next(row for row in written["rows"] if row["name"] == name)


def setting(folder="runs/Mine/2020", name="my_alpha"):
    result = Path("results/tiny", folder, "result.json")
    return json.loads(result.read_text())["settings"].get(name)


def test_it_stands_beside_bm25_in_every_table(benchmark, mine, tiny):
    models = {"BM25": None, "Mine": {"class": NAME}}
    assert benchmark(models, encoder="tfidf") == 0
    assert row()["inputs"] == ["request", "item text", "item id"]
    assert row()["metrics"]["ndcg@3"]["low"] is not None
    table = Path("results/tiny/benchmark.md").read_text()
    assert "| Mine | request, item text, item id |" in table
    assert setting() == 0.5


def test_the_command_line_names_it_and_gives_it_a_setting(mine, tiny, started):
    flags = [f"--model=BM25,{NAME}", "--dataset=tiny", f"--data_path={tiny}"]
    flags += ["--topk=3", "--valid_metric=NDCG@3", "--encoder=tfidf"]
    assert cli.main(["benchmark", *flags, "--my_alpha=0.25"]) == 0
    assert started == ["BM25", NAME]
    assert setting() == 0.25
    # which is none of BM25's: it is neither told of it nor run again for it
    assert setting("runs/BM25/2020") is None
    started.clear()
    assert cli.main(["benchmark", *flags, "--my_alpha=0.75"]) == 0
    assert started == [NAME]


def test_two_classes_of_one_name_are_not_one_row():
    with pytest.raises(UserError, match="b:Mine and a:Mine would be rows of one name"):
        plan.make_plan(["--model=BPR,a:Mine,b:Mine"])
    assert len(plan.make_plan(["--model=a:Mine,a:Mine,b:More"]).rows) == 2


def test_rows_and_ranges_set_its_settings(benchmark, mine):
    models = {
        "BM25": None,
        "small": {"class": NAME, "my_alpha": 0.125},
        "Mine": {"class": NAME, "tune": {"my_alpha": [2.0, 3.0]}},
    }
    assert benchmark(models, "--tune=3", encoder="tfidf") == 0
    assert setting("runs/small/2020") == 0.125
    tried = [setting(f"tune/Mine/{number}") for number in range(3)]
    assert tried[0] == 0.5 and sorted(tried[1:]) == [2.0, 3.0]
    chosen = yaml.safe_load(Path("results/tiny/tuned.yaml").read_text())["models"]
    assert setting() == chosen["Mine"].get("my_alpha", 0.5)


def test_a_setting_of_all_rows_may_stand_in_the_yaml(benchmark, mine):
    models = {"BM25": None, "Mine": {"class": NAME}}
    assert benchmark(models, my_alpha=0.25, encoder="tfidf") == 0
    assert setting() == 0.25


def test_a_misspelt_setting_is_refused_by_name(benchmark, mine):
    models = {"BM25": None, "Mine": {"class": NAME, "my_alhpa": 1}}
    assert benchmark(models, encoder="tfidf") == 1
    assert "'my_alhpa'. Did you mean 'my_alpha'?" in row()["errors"]["2020"]


def test_its_settings_may_stand_in_a_yaml_file_beside_it(benchmark, write_module):
    text = MINE.replace(
        'settings = {"my_alpha": 0.5, "train_neg_sample_args": None}', ""
    )
    write_module("shop.mine", text)
    Path("shop/Mine.yaml").write_text("my_alpha: 1e-2\ntrain_neg_sample_args: ~\n")
    assert benchmark({"Mine": {"class": NAME}}, encoder="tfidf") == 0
    assert setting() == 0.01


def test_what_it_may_know_is_not_stated_or_stated_by_the_row(benchmark, write_module):
    text = MINE.replace('inputs = ("request", "item text", "item id")', "")
    write_module("shop.mine", text)
    models = {"Mine": {"class": NAME}, "told": {"class": NAME, "inputs": ["request"]}}
    assert benchmark(models, encoder="tfidf") == 0
    assert row()["inputs"] is None and row("told")["inputs"] == ["request"]
    table = Path("results/tiny/benchmark.md").read_text()
    assert "| Mine | not stated |" in table
    assert "the model's class has no attribute inputs" in table


@pytest.mark.parametrize(
    "text, told",
    [
        ("import nowhere", "No module named 'nowhere'"),
        ("class Mine: pass", "is not a model"),
        (MINE.replace("Mine", "BPR"), "has a model 'BPR'"),
        (MINE.replace("inputs = (", "inputs = (3, "), "Mine.inputs must be"),
        (MINE.replace("settings = ", "settings = 3, "), "Mine.settings must"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    text, told, benchmark, write_module, started, capsys
):
    write_module("shop.mine", text)
    name = "shop.mine:BPR" if "class BPR" in text else NAME
    assert benchmark({"BM25": None, "Mine": {"class": name}}) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("error: ") == 1
    assert started == [] and not Path("results/tiny").exists()


def test_edited_code_is_run_again_and_the_rest_is_not(benchmark, write_module, started):
    write_module("shop.base", MINE.replace("Mine", "Base"))
    derived = "from shop.base import Base\n\nclass Mine(Base):\n    pass\n"
    write_module("shop.mine", derived)
    models = {"Pop": None, "Mine": {"class": NAME}}
    assert benchmark(models, encoder="tfidf") == 0
    assert started == ["Pop", NAME]
    edits = [
        lambda: write_module("shop.mine", derived + "# another line\n"),
        lambda: write_module("shop.base", MINE.replace("Mine", "Base") + "\n\n"),
        lambda: Path("shop/Mine.yaml").write_text("my_alpha: 3\n"),
    ]
    for edit in edits:
        started.clear()
        assert benchmark(models, encoder="tfidf") == 0
        assert started == []
        edit()
        assert benchmark(models, encoder="tfidf") == 0
        assert started == [NAME]
    assert setting() == 3


ENCODER = """
    import numpy as np
    from recbole_whisperlite.encoder.base import Encoder, unit_rows

    class Letters(Encoder):
        def fingerprint(self):
            return {}

        def encode(self, texts):
            found = [[text.count(c) for c in "abcdefgh"] for text in texts]
            return unit_rows(np.array(found, dtype=np.float32))
"""


def test_so_is_an_encoder_of_the_users_own(benchmark, write_module, started):
    write_module("shop.letters", ENCODER)
    settings = {"encoder": "shop.letters:Letters"}
    assert benchmark({"ZeroShot": None}, **settings) == 0
    write_module("shop.letters", ENCODER.replace("abcdefgh", "stuvwxyz"))
    started.clear()
    assert benchmark({"ZeroShot": None}, **settings) == 0
    assert started == ["ZeroShot"]


METRIC = """
    import numpy as np
    from recbole_whisperlite.evaluation.metric import QueryMetric

    class Miss(QueryMetric):
        smaller = True

        @staticmethod
        def of_queries(hits, positives):
            return 1.0 - np.maximum.accumulate(hits, axis=1)
"""


def test_a_metric_of_the_users_own_is_tested_over_queries(benchmark, write_module):
    write_module("shop.metrics", METRIC)
    models = {"Pop": None, "Random": None, "RequestPop": None}
    metrics = ["Hit", "shop.metrics:Miss"]
    settings = {"metrics": metrics, "valid_metric": "Miss@3"}
    assert benchmark(models, **settings) == 0
    written = json.loads(Path("results/tiny/benchmark.json").read_text())
    assert written["smaller_is_better"] == ["miss@2", "miss@3"]
    assert "miss@3" in written["metrics_of_queries"]
    means = [row["metrics"]["miss@3"]["mean"] for row in written["rows"]]
    assert means == sorted(means) and means[0] < 1
    for each in written["rows"]:
        miss, hit = each["metrics"]["miss@3"], each["metrics"]["hit@3"]
        assert miss["mean"] == pytest.approx(1 - hit["mean"])
        assert miss["low"] == pytest.approx(1 - hit["high"])
        assert miss["p"] == pytest.approx(hit["p"]) if hit["p"] else not miss["p"]


def test_the_report_is_written_anew_without_the_metrics_code(
    benchmark, write_module, monkeypatch
):
    write_module("shop.metrics", METRIC)
    metrics = ["Hit", "shop.metrics:Miss"]
    assert benchmark({"Pop": None}, metrics=metrics, valid_metric="Miss@3") == 0
    with monkeypatch.context() as elsewhere:
        elsewhere.delitem(known.metrics_dict, "miss")
        page = report.write(Path("results/tiny")).read_text()
    assert "Miss@3" in page


@pytest.mark.parametrize(
    "settings, told",
    [
        (
            {"metrics": ["NDCG", "shop:Nothing"]},
            "metric 'shop:Nothing': the module shop",
        ),
        ({"metrics": ["NDCG", "shop:NDCG"]}, "already a metric 'NDCG'"),
        ({"metrics": ["NDCG", "shop:Word"]}, "is not a metric"),
        ({"encoder": "shop:Word"}, "is not an encoder"),
        ({"encoder": "shop:Nothing"}, "encoder 'shop:Nothing': the module shop"),
    ],
)
def test_mistakes_in_metrics_and_encoders_are_told_before_anything_starts(
    settings, told, benchmark, write_module, started, capsys
):
    text = METRIC.replace("Miss", "NDCG") + "\n    class Word: pass\n"
    write_module("shop", text)
    assert benchmark({"Pop": None}, **settings) == 2
    assert told in capsys.readouterr().err
    assert started == []
