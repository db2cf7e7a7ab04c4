"""Tuning: Optuna's study beside the folders of the trials."""

import json
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from recbole_whisperlite.benchmark import plan, runner, tuning
from recbole_whisperlite.benchmark.notes import notes
from recbole_whisperlite.benchmark.runner import Outcome
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation import pruning

COMMON = {
    "topk": [3],
    "valid_metric": "NDCG@3",
    "state": "ERROR",
    "epochs": 1,
    "embedding_size": 4,
}
SIZES = [1, 2, 8, 16]


def score(settings):
    """A validation metric with its maximum at size 8 and rate 0.01."""
    size, rate = settings.get("embedding_size", 4), settings.get("learning_rate", 0.001)
    return 1 - abs(size - 8) / 20 - abs(rate - 0.01)


@pytest.fixture
def tried(monkeypatch):
    """Runs without models: the list of (row, settings of a trial, folder) so far."""

    def run_all(jobs, title):
        (job,) = jobs
        own = {k: v for k, v in job.row.settings.items() if k in job.row.ranges}
        trials.append((job.row.name, own, int(job.folder.name)))
        if stop and len(trials) == stop[0]:
            raise KeyboardInterrupt
        if own.get("embedding_size") in broken:
            return [Outcome(job, error="it broke")]
        valid = {"ndcg@3": score(job.row.settings)}
        settings = {"valid_metric": "NDCG@3", "valid_metric_bigger": True}
        return [
            Outcome(job, {"best_valid_result": valid, "settings": settings}),
        ]

    stop, broken = [], []
    trials = type("Tried", (list,), {"stop": stop, "broken": broken})()
    monkeypatch.setattr(runner, "run_all", run_all)
    return trials


@pytest.fixture
def make(tiny):
    """Return a function (models, *flags) -> Plan."""

    def run(models, *flags, **settings):
        content = {"dataset": "tiny", "data_path": str(tiny), **settings}
        text = yaml.safe_dump({**content, "models": models}, sort_keys=False)
        Path("b.yaml").write_text(text)
        made = plan.make_plan(["--config_files=b.yaml", *flags])
        made.output.mkdir(parents=True, exist_ok=True)
        return made

    return run


RANGES = {"embedding_size": SIZES, "learning_rate": [0.001, 0.01]}


def test_the_first_trial_is_the_row_unchanged_and_none_is_tried_twice(make, tried):
    found = tuning.tune(make({"BPR": {"tune": RANGES}}, "--tune=50"))["BPR"]
    assert tried[0] == ("BPR", {}, 0)
    # 4 is not in the range, so the row is none of the 8 combinations
    rest = [tuple(sorted(own.items())) for _, own, _ in tried[1:]]
    assert len(rest) == len(set(rest)) == 8 and [t[2] for t in tried] == [*range(9)]
    assert found.settings == {"embedding_size": 8, "learning_rate": 0.01}
    assert found.trials == 9 and found.all
    tuned = Path("results/tiny/tuned.yaml").read_text()
    assert yaml.safe_load(tuned)["models"] == {"BPR": found.settings}
    assert "# BPR: 9 trials, all there are" in tuned


def test_a_row_that_is_a_combination_of_its_ranges_is_not_tried_again(make, tried):
    # 64 is RecBole's default; 1e-3 without a dot is a text for yaml
    ranges = {"embedding_size": [32, 64], "learning_rate": ["1e-3"]}
    found = tuning.tune(make({"BPR": {"tune": ranges}}, "--tune=9"))["BPR"]
    own = {"embedding_size": 32, "learning_rate": 0.001}
    assert tried == [("BPR", {}, 0), ("BPR", own, 1)]
    assert found.trials == 2 and found.all


def test_every_row_has_the_same_number_or_all_there_are(make, tried):
    few = {"learning_rate": [0.01]}
    models = {"BPR": {"tune": RANGES}, "LightGCN": {"tune": RANGES}}
    models.update({"WhisperLite": {"tune": few}, "Pop": None})
    found = tuning.tune(make(models, "--tune=5"))
    assert {name: (one.trials, one.all) for name, one in found.items()} == {
        "BPR": (5, False),
        "LightGCN": (5, False),
        "WhisperLite": (2, True),
    }
    rows = [name for name, _, _ in tried]
    assert {name: rows.count(name) for name in rows} == {
        name: one.trials for name, one in found.items()
    }


def test_a_killed_tuning_goes_on_as_if_nothing_had_happened(make, tried):
    made = make({"BPR": {"tune": RANGES}}, "--tune=8")
    tuning.tune(made)
    whole = list(tried)
    tried.clear()
    Path("results/tiny/tune/study.journal").unlink()
    tried.stop.append(6)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune(made)
    tried.stop.clear()
    tuning.tune(made)
    # the sixth was interrupted, and is run again with the same settings
    assert tried == whole[:6] + whole[5:]
    tried.clear()
    tuning.tune(made)
    assert tried == []
    # more trials go on, a change of the row begins anew
    tuning.tune(make({"BPR": {"tune": RANGES}}, "--tune=9"))
    assert [number for _, _, number in tried] == [8]
    tried.clear()
    tuning.tune(make({"BPR": {"tune": RANGES, "reg_weight": 1}}, "--tune=2"))
    assert [number for _, _, number in tried] == [0, 1]


def test_a_trial_that_failed_is_tried_again_by_the_next_command(make, tried, capsys):
    made = make({"BPR": {"tune": {"embedding_size": [1, 2]}}}, "--tune=3")
    tried.broken.append(2)
    found = tuning.tune(made)["BPR"]
    assert (found.trials, found.failed) == (3, 1)
    assert "failed: it broke" in capsys.readouterr().err
    tried.broken.clear()
    tried.clear()
    assert tuning.tune(made)["BPR"].failed == 0
    assert [own for _, own, _ in tried] == [{"embedding_size": 2}]


def test_values_that_are_lists_are_tried_as_lists(make, tried):
    ranges = {"mlp_hidden_size": [[8], [16, 8]]}
    tuning.tune(make({"DeepFM": {"tune": ranges}}, "--tune=3"))
    values = [own["mlp_hidden_size"] for _, own, _ in tried[1:]]
    assert sorted(values) == [[8], [16, 8]]


def test_a_bad_trial_is_pruned_and_not_run_again(make, started, monkeypatch):
    monkeypatch.setattr(pruning, "STARTUP_TRIALS", 1)
    monkeypatch.setattr(pruning, "WARMUP_VALIDATIONS", 1)
    report = pruning.report

    def worse_with_each(trial, number, score):
        report(trial, number, -trial["number"])

    monkeypatch.setattr(pruning, "report", worse_with_each)
    models = {"BPR": {"tune": {"embedding_size": [2]}}}
    made = make(models, "--tune=2", "--epochs=5", **COMMON)
    found = tuning.tune(made)
    assert started == ["BPR"] * 2
    first, second = (Path(f"results/tiny/tune/BPR/{n}") for n in (0, 1))
    assert len(json.loads((first / "result.json").read_text())["valid_curve"]) == 5
    assert not (second / "result.json").exists()
    # no trial is compared before its second validation
    assert "pruned after validation 2," in (second / "log.txt").read_text()
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend("results/tiny/tune/study.journal")
    )
    (study,) = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=study.study_name, storage=storage)
    trials = study.get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED"]
    assert trials[0].intermediate_values == dict.fromkeys(range(5), 0)
    assert [*trials[1].intermediate_values] == [0, 1]
    facts = {"trials": 2, "pruned": 1, "failed": 0, "all": True, "users": 1.0}
    assert found["BPR"].facts() == facts
    started.clear()
    assert tuning.tune(made) == found and started == []


def test_slow_rows_are_tuned_on_some_of_the_users(make, started, tiny):
    row = {"tune": {"embedding_size": [2]}, "tune_users": 0.75}
    made = make({"BPR": row}, "--tune=1", **COMMON)
    assert tuning.tune(made)["BPR"].users == 0.75
    (home,) = Path("results/tiny/tune/users").iterdir()
    whole = (tiny / "tiny" / "tiny.inter").read_text().splitlines()
    lines = (home / "tiny" / "tiny.inter").read_text().splitlines()
    users = {line.split("\t")[0] for line in lines[1:]}
    assert len(users) == 3  # of four
    assert lines == whole[:1] + [w for w in whole[1:] if w.split("\t")[0] in users]
    assert (home / "tiny" / "tiny.item").resolve() == tiny / "tiny" / "tiny.item"
    result = json.loads(Path("results/tiny/tune/BPR/0/result.json").read_text())
    assert result["settings"]["data_path"] == str((home / "tiny").absolute())
    # the run of the table has all users
    assert made.rows[0].settings == {}


def test_the_table_says_how_its_rows_were_tuned():
    of_row = {"trials": 5, "pruned": 2, "failed": 0, "all": False, "users": 1.0}
    told = notes(
        {
            "dataset": "tiny",
            "test_sets": [],
            "composed_requests": None,
            "seeds": [1],
            "reference": None,
            "rows": [{"name": name, "inputs": [], "runs": {}} for name in "ABCD"],
            "tuning": {
                "A": of_row,
                "B": of_row,
                "C": {**of_row, "trials": 2, "all": True, "users": 0.2},
            },
        }
    )
    assert told[-1] == (
        "Tuning on validation: 5 trials (A, B); 2 trials, all combinations, on 20% of "
        "the users (C); none, as there are no ranges (D)."
    )


@pytest.mark.parametrize(
    "row, flags, message",
    [
        ({"tune_users": 0}, (), "BPR: tune_users: 0 must be a share of the users"),
        ({"tune_users": "some"}, (), "tune_users: 'some' must be a share"),
        ({"tune_users": 1.5}, (), "tune_users: 1.5 must be a share"),
        ({}, ("--tune_users=-1",), "tune_users: '-1' must be a share"),
        ({"tuning_trial": {}}, (), "tuning_trial is set by the benchmark itself"),
        ({}, ("--embedding_size=4",), "embedding_size has a range, but --embedding"),
    ],
)
def test_mistakes_are_told(make, tried, row, flags, message):
    with pytest.raises(UserError, match=message):
        models = {"BPR": {"tune": {"embedding_size": [2]}, **row}}
        tuning.tune(make(models, "--tune=2", *flags))
    assert tried == []


def test_a_damaged_study_and_a_missing_optuna_are_told(make, tried, monkeypatch):
    made = make({"BPR": {"tune": RANGES}}, "--tune=2")
    journal = Path("results/tiny/tune/study.journal")
    journal.parent.mkdir(parents=True)
    journal.write_text("no journal\nat all\n")
    with pytest.raises(UserError, match="study.journal: this is not a journal of Optu"):
        tuning.tune(made)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'recbole-whisperlite\[tune\]'"):
        tuning.tune(made)
