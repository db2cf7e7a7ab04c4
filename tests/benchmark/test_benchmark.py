"""Comparing models: one command, one test set, one table."""

import json
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import forked
import numpy as np
import pytest
import yaml
from filelock import FileLock
from tiny import CHOICES, REQUESTS, write_tiny
from tqdm import tqdm

from recbole_whisperlite.benchmark import plan, runner, statistics
from recbole_whisperlite.benchmark.inputs import inputs
from recbole_whisperlite.config.settings import known_settings
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation.rank_file import read_ranks
from recbole_whisperlite.evaluation.result_file import versions
from recbole_whisperlite.evaluation.revision import revision
from recbole_whisperlite.model.own import model_class

ROOT = Path(__file__).resolve().parent.parent.parent


def read(folder="results/tiny"):
    return json.loads(Path(folder, "benchmark.json").read_text())


def test_every_row_is_in_every_table(benchmark, started):
    models = {"Pop": None, "BPR": {"embedding_size": 8}, "SASRec": None}
    assert benchmark(models, "--seeds=1,2") == 0
    assert started == ["Pop", "Pop", "BPR", "BPR", "SASRec", "SASRec"]
    written = read()
    assert {row["name"] for row in written["rows"]} == set(models)
    assert [len(row["runs"]) for row in written["rows"]] == [2, 2, 2]
    (test_set,) = written["test_sets"]
    assert (test_set["queries"], test_set["positives"], test_set["items"]) == (4, 4, 9)
    assert test_set["seeds"] == [1, 2]
    inputs = {row["name"]: row["inputs"] for row in written["rows"]}
    assert inputs["Pop"] == ["item id"] and "history" in inputs["SASRec"]
    main = [row["metrics"]["ndcg@3"]["mean"] for row in written["rows"]]
    assert main == sorted(main, reverse=True)
    for suffix in ("md", "tex", "csv"):
        text = Path(f"results/tiny/benchmark.{suffix}").read_text()
        assert all(name in text for name in models)
    for row in written["rows"]:
        figures = [run["test_result"]["ndcg@3"] for run in row["runs"].values()]
        cell = row["metrics"]["ndcg@3"]
        assert cell["mean"] == pytest.approx(np.mean(figures))
        assert cell["deviation"] == pytest.approx(np.std(figures, ddof=1))
        assert cell["low"] <= cell["mean"] <= cell["high"]
        assert (cell["p_holm"] is None) == (row["name"] == written["reference"])


def test_metrics_computed_from_ranks_are_those_of_recbole(benchmark):
    # Pop gives equal scores to many items, and ties are what could go wrong here
    benchmark({"Pop": None, "Random": None, "BPR": None})
    for row in read()["rows"]:
        arrays = read_ranks(f"results/tiny/runs/{row['name']}/2020/units.npz")
        result = row["runs"]["2020"]["test_result"]
        for name in result:
            values = statistics.metric_of_queries(
                name.split("@")[0],
                arrays["positive_unit"],
                arrays["rank"],
                len(arrays["user"]),
                int(name.split("@")[1]),
            )
            assert values.mean() == pytest.approx(result[name], abs=1e-9), name


def test_a_unit_file_has_users_requests_texts_and_positives(benchmark):
    benchmark({"Pop": None, "SASRec": None, "DeepFM": None})
    for model in ("Pop", "SASRec", "DeepFM"):
        arrays = read_ranks(f"results/tiny/runs/{model}/2020/units.npz")
        assert list(zip(arrays["user"], arrays["request"])) == [
            ("u1", "r4"),
            ("u2", "r7"),
            ("u3", "r10"),
            ("u4", "r12"),
        ]
        texts = [arrays["texts"][n] for n in arrays["text"]]
        assert texts == [REQUESTS[id_] for id_ in arrays["request"]]
        assert arrays["words"].tolist() == [4, 1, 3, 400]
        assert arrays["history"].tolist() == [4, 2, 2, 1]
        tokens = arrays["tokens"]
        assert tokens.tolist() == ["", *(f"i{n}" for n in range(1, 10))]
        positive = tokens[arrays["positive_item"]].tolist()
        assert positive == ["i1", "i6", "i2", "i8"]
        # in training: u1 r1 r2, u2 r5, u3 r8, u4 r11; each user's last two are held out
        train = [item for _, item, request, _ in CHOICES if request in TRAIN]
        assert arrays["popularity"].tolist() == [train.count(item) for item in positive]
        assert arrays["top"].shape == (4, 3)
        seen = {"u1": {"i2", "i3", "i4"}, "u2": {"i2", "i5"}, "u3": {"i3", "i7"}}
        for user, top in zip(arrays["user"], tokens[arrays["top"]]):
            assert not seen.get(user, {"i5"}) & set(top)
        for rank, item, top in zip(arrays["rank"], positive, tokens[arrays["top"]]):
            assert (rank <= 3) == (item in top)
            assert rank > 3 or top[rank - 1] == item


TRAIN = {"r1", "r2", "r5", "r8", "r11"}


def test_a_unit_file_counts_how_often_a_text_was_asked_in_training(benchmark, tmp_path):
    # r2, of two choices, and r11 ask this in training; r3 in validation asks r10's
    texts = {**REQUESTS, "r4": REQUESTS["r2"], "r10": REQUESTS["r3"]}
    texts["r1"] = REQUESTS["r12"]
    write_tiny(tmp_path, requests=texts)
    benchmark({"Pop": None})
    arrays = read_ranks("results/tiny/runs/Pop/2020/units.npz")
    assert arrays["request"].tolist() == ["r4", "r7", "r10", "r12"]
    assert arrays["asked"].tolist() == [3, 0, 0, 1]


def test_an_interrupted_benchmark_continues_where_it_stopped(benchmark, started):
    assert benchmark({"Pop": None, "Random": None}) == 0
    first = read()
    # as if it had been killed while Random ran
    Path("results/tiny/runs/Random/2020/job.json").unlink()
    started.clear()
    assert benchmark({"Pop": None, "Random": None}) == 0
    assert started == ["Random"]
    assert [row["metrics"] for row in read()["rows"]] == [
        row["metrics"] for row in first["rows"]
    ]
    # another setting of one row, another seed: only what is new is run
    started.clear()
    models = {"Pop": None, "Random": {"metrics": ["NDCG"]}}
    assert benchmark(models, "--seeds=2020,7") == 0
    assert started == ["Pop", "Random", "Random"]
    # metrics that one of the rows lacks are not shown
    assert {name.split("@")[0] for name in read()["metrics"]} == {"ndcg"}


def test_a_model_that_fails_is_a_row_with_its_error(benchmark, capsys):
    assert benchmark({"SASRec": {"n_heads": 3}, "Pop": None}) == 1
    good, bad = read()["rows"]
    assert good["name"] == "Pop" and good["runs"]
    assert not bad["runs"]
    assert "multiple of the number of attention heads" in bad["errors"]["2020"]
    for suffix in ("md", "tex", "csv"):
        assert "SASRec" in Path(f"results/tiny/benchmark.{suffix}").read_text()
    assert "1 of 2 runs failed" in capsys.readouterr().err


def test_a_row_with_another_test_set_is_refused_by_name(benchmark, capsys):
    args = {"split": {"LS": "valid_and_test"}, "order": "RO", "group_by": "user"}
    models = {"Pop": None, "Random": None, "BPR": {"eval_args": args}}
    assert benchmark(models) == 2
    error = capsys.readouterr().err
    assert "\n  BPR, seed 2020: " in error and "same test set" in error
    assert "eval_args is" in error and "queries are missing" in error
    assert "\n  Random, seed 2020: " not in error
    assert not Path("results/tiny/benchmark.md").exists()


def test_random_splits_have_one_test_set_per_seed(benchmark):
    args = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO", "group_by": "none"}
    assert benchmark({"Pop": None, "Random": None}, "--seeds=1,2", eval_args=args) == 0
    written = read()
    assert [test_set["seeds"] for test_set in written["test_sets"]] == [[1], [2]]
    with np.load("results/tiny/units.npz") as arrays:
        for number, seed in enumerate((1, 2)):
            rank = arrays[f"{number}/rank/Pop/{seed}"]
            top = arrays[f"{number}/top/Pop/{seed}"]
            of_run = read_ranks(f"results/tiny/runs/Pop/{seed}/units.npz")
            assert rank.tolist() == of_run["rank"].tolist()
            assert top.tolist() == of_run["top"].tolist()


def test_tuning_uses_the_validation_split_only(benchmark, started):
    sizes = [1, 2, 8, 16]
    assert (
        benchmark({"Pop": None, "BPR": {"tune": {"embedding_size": sizes}}}, "--tune=3")
        == 0
    )
    assert started.count("BPR") == 3 + 1 and started.count("Pop") == 1
    results = [
        json.loads(path.read_text())
        for path in sorted(Path("results/tiny/tune/BPR").glob("*/result.json"))
    ]
    assert results[0]["settings"]["embedding_size"] == 4  # the row's own settings
    assert {r["settings"]["embedding_size"] for r in results[1:]} < set(sizes)
    best = max(results, key=lambda result: result["best_valid_result"]["ndcg@3"])
    row = next(row for row in read()["rows"] if row["name"] == "BPR")
    kept = row["tuned"].get("embedding_size", 4)
    assert kept == best["settings"]["embedding_size"]
    tuned = yaml.safe_load(Path("results/tiny/tuned.yaml").read_text())
    assert tuned["models"]["BPR"] == row["tuned"]
    assert "tuned" in row and "Pop" not in tuned["models"]
    assert read()["tuning"].keys() == {"BPR"} and read()["tuning"]["BPR"]["trials"] == 3


def test_composed_requests_are_marked_as_such(benchmark, tiny):
    (tiny / "tiny" / "tiny.request").unlink()
    assert benchmark({"Pop": None}, request_template="a {title}") == 0
    assert read()["composed_requests"] == "a {title}"
    assert "composed from attributes" in Path("results/tiny/benchmark.md").read_text()
    assert "composed from attributes" in Path("results/tiny/benchmark.tex").read_text()


def test_one_model_may_have_several_rows(benchmark):
    rows = {"small": {"model": "BPR", "inputs": ["user"]}, "BPR": {"embedding_size": 8}}
    assert benchmark(rows) == 0
    small = next(row for row in read()["rows"] if row["name"] == "small")
    assert small["model"] == "BPR" and small["inputs"] == ["user"]
    assert small["cost"]["parameters"] == (5 + 10) * 4


def test_a_row_may_have_fewer_seeds_and_a_note(benchmark, started):
    few = {"seeds": 1, "note": "Hours a run."}
    assert benchmark({"Pop": None, "Random": few}, "--seeds=5,6") == 0
    assert started == ["Pop", "Pop", "Random"]
    runs = {row["name"]: [*row["runs"]] for row in read()["rows"]}
    assert runs == {"Pop": ["5", "6"], "Random": ["5"]}
    text = Path("results/tiny/benchmark.md").read_text()
    assert "- Random: seed 5 only. Hours a run." in text
    assert "Random: seed 5 only." in Path("results/tiny/report.html").read_text()


def test_a_table_has_effect_sizes_slices_and_the_revision_of_each_run(benchmark):
    assert benchmark({"Pop": None, "Random": None, "BPR": None}) == 0
    written = read()
    for row in written["rows"]:
        gap = row["metrics"]["ndcg@3"]["difference"]
        assert (gap is None) == (row["name"] == written["reference"])
        (run,) = row["runs"].values()
        assert run["version"] == versions()["recbole-whisperlite"]
        assert run["revision"] == revision()
        own = row["metrics"]["ndcg@3"]["mean"]
        parts = written["slices"]["kinds"]["popularity"]
        total = sum(part["positives"] * part["means"][row["name"]] for part in parts)
        assert total / 4 == pytest.approx(own)  # one positive a query
        if gap:
            other = written["rows"][0]["metrics"]["ndcg@3"]["mean"]
            assert gap["mean"] == pytest.approx(own - other)
            assert gap["low"] <= gap["mean"] <= gap["high"]
    # i1 and i2 were chosen in training, i6 and i8 not
    assert [(part["label"], part["positives"]) for part in parts] == [
        ("0", 2),
        ("1–3", 2),
    ]
    for name in ("benchmark.md", "benchmark.tex"):
        text = Path("results/tiny", name).read_text()
        assert "ifference from" in text and "chosen in training" in text
    for name in ("differences.csv", "slices.csv"):
        text = Path("results/tiny", name).read_text()
        assert all(model in text for model in ("Pop", "Random", "BPR"))


def test_run_recbole_py_with_several_models_is_a_benchmark(tiny, tmp_path):
    def work(folder):
        sys.argv = ["run_recbole.py", "--model=Pop", "--seeds=3", "--dataset=tiny"]
        sys.argv += [f"--data_path={tiny}", "--topk=3", "--valid_metric=NDCG@3"]
        sys.argv += ["--output=out"]
        runpy.run_path(str(ROOT / "run_recbole.py"), run_name="__main__")

    status, printed = forked.end_of(work, tmp_path, tmp_path / "out.txt", limit=300)
    assert status == 0, printed
    assert "| Pop | item id |" in printed
    assert read(tmp_path / "out")["seeds"] == [3]
    assert (tmp_path / "out" / "runs" / "Pop" / "3" / "log.txt").stat().st_size


@pytest.mark.parametrize(
    "argv, several",
    [
        (["--model=BPR,Pop"], True),
        (["--model=BPR"], False),
        (["--model=BPR", "--seeds=1"], True),
        (["--output=results/x"], True),
        ([], False),
        (["--config_files=b.yaml"], True),
    ],
)
def test_several_models_seeds_or_an_output_make_a_benchmark(argv, several, own_folder):
    Path("b.yaml").write_text("models: {BPR: {}}\n")
    assert plan.is_benchmark(argv) is several


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--model=BPR,Pop", "--seed=3"], "use --seeds"),
        (["--model=BPR", "--seeds=a"], "must be integers"),
        (["--model=BPR,Pop", "--reference=Bpr"], "Did you mean 'BPR'?"),
        (["--seeds=1"], "needs models"),
        (["--model=BPR,Pop", "--epochs", "3"], "Write --epochs=3."),
        (["--model=BPR,Pop", "3"], "'3' is neither a flag nor a setting"),
        (["--model=BPR", "--tune=2"], "no model has ranges"),
    ],
)
def test_mistakes_are_reported_before_anything_runs(flags, told, own_folder):
    with pytest.raises(ValueError, match="(?s)" + told.replace("?", r"\?")):
        plan.make_plan(flags)


def test_an_unknown_model_is_reported_before_anything_runs(benchmark, started, capsys):
    assert benchmark({"BPR": None, "Popp": None}) == 2
    assert "Did you mean 'Pop'?" in capsys.readouterr().err and not started


def test_data_without_requests_are_for_models_that_need_none(
    benchmark, started, tiny, capsys
):
    (tiny / "tiny" / "tiny.request").unlink()
    assert benchmark({"BPR": None, "WhisperLite": None}) == 2
    told = capsys.readouterr().err
    assert "WhisperLite ranks items for a request" in told and not started
    load_col = {"inter": ["user_id", "item_id", "timestamp"]}  # RecBole's lacks time
    models = {"BPR": None, "SASRec": {"train_neg_sample_args": None}}
    assert benchmark(models, load_col=load_col) == 0
    written = read()
    assert [len(row["runs"]) for row in written["rows"]] == [1, 1]
    assert written["test_sets"] == [] and written["metrics_of_queries"] == []
    table = Path("results/tiny/benchmark.md").read_text()
    assert "It has no requests" in table and "p < " not in table
    assert "BPR" in Path("results/tiny/report.html").read_text()


@pytest.mark.parametrize(
    "content, told",
    [
        ({"models": {"Pop": {"tune": [1]}}}, "Pop: tune: must contain 'setting: "),
        ({"models": {"Pop": None}, "output": 5}, "output: 5 must be the name"),
        ({"models": {"Pop": None}, "seeds": [1.5]}, "must be integers"),
        ({"models": {"Pop": None}, "seeds": True}, "must be integers"),
        ({"models": {"Pop": {"seeds": 0}}}, "Pop: seeds: .* 1 or greater"),
        ({"models": {"Pop": {"note": ["slow"]}}}, "Pop: note: .* must be a text"),
    ],
)
def test_mistakes_in_the_yaml_are_reported_before_anything_runs(content, told):
    Path("b.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=told):
        plan.make_plan(["--config_files=b.yaml"])


def test_empty_keys_of_the_yaml_are_ignored():
    row = {"tune": None, "sees": "user"}  # the old name of inputs
    content = {"models": {"Pop": row}, "output": None, "dataset": "d"}
    Path("b.yaml").write_text(yaml.safe_dump(content))
    made = plan.make_plan(["--config_files=b.yaml"])
    assert made.output == Path("results/d")
    assert made.rows == [plan.Row("Pop", "Pop", inputs=["user"])]


@pytest.mark.parametrize("file", sorted(ROOT.glob("properties/experiment/benchmark-*")))
def test_committed_benchmarks_name_models_and_settings_that_exist(file):
    made = plan.make_plan([f"--config_files={file}"])
    assert len(made.rows) >= 8 and made.reference == "WhisperLitePlus"
    assert {"WhisperLite", "WhisperLitePlus"} <= {row.name for row in made.rows}
    known = known_settings()
    for row in made.rows:
        model_class(row.model)
        assert all(len(values) > 1 for values in row.ranges.values())
        assert row.ranges.keys() <= known
        # fewer seeds, or users to tune on, are accounted for
        assert bool(row.seeds or row.tune_users < 1) == bool(row.note)


OURS = ["WhisperLite", "WhisperLitePlus"]
RIVALS = "LinearFusion LambdaMART LateFusion ZAM TEM QuerySeqRec Whisper".split()
RIVALS += ["BM25", "ZeroShot", "RequestPop"]
NOTHING_TO_TUNE = {"ZeroShot", "RequestPop", "Pop", "Random"}


@pytest.mark.parametrize("file", sorted(ROOT.glob("properties/experiment/benchmark-*")))
def test_committed_benchmarks_have_strong_rivals_in_one_order_and_tune_all_of_them(
    file,
):
    rows = plan.make_plan([f"--config_files={file}"]).rows
    names = [row.name for row in rows]
    rivals = [name for name in RIVALS if name in names]
    assert names[: 2 + len(rivals)] == OURS + rivals
    assert {*RIVALS} - {*rivals} <= {"Whisper"}
    assert {"EASE", "SLIMElastic", "ItemKNN"} <= {*names}
    assert {row.name for row in rows if not row.ranges} <= NOTHING_TO_TUNE


@pytest.mark.parametrize("file", sorted(ROOT.glob("properties/experiment/benchmark-*")))
def test_each_seed_has_all_rows_if_it_has_a_test_set_of_its_own(file):
    made = plan.make_plan([f"--config_files={file}"])
    args = made.settings.get("eval_args", {})
    if made.settings.get("folds", 1) > 1 or args.get("order") == "RO":
        assert all(row.seeds is None for row in made.rows)


@pytest.mark.parametrize("file", sorted(ROOT.glob("properties/experiment/new-items-*")))
def test_splits_by_product_differ_from_the_ordinary_one_in_nothing_else(file):
    ordinary = file.with_name(file.name.replace("new-items-", "benchmark-"))
    ours, theirs = (
        plan.make_plan([f"--config_files={each}"]) for each in (file, ordinary)
    )
    assert ours.settings == {**theirs.settings, "new_items": 0.1}
    assert ours.output != theirs.output and ours.dataset == theirs.dataset
    rows = {row.name: row.settings for row in theirs.rows}
    assert {row.name: row.settings for row in ours.rows}.items() <= rows.items()


RUN = Path("results/tiny/runs/Pop/2020")


@pytest.mark.parametrize(
    "name, damage",
    [
        ("result.json", lambda path: path.unlink()),
        ("result.json", lambda path: path.write_bytes(path.read_bytes()[:200])),
        ("units.npz", lambda path: path.write_bytes(path.read_bytes()[:200])),
        ("job.json", lambda path: path.write_text("[]")),
    ],
)
def test_a_finished_run_that_was_damaged_is_run_again(benchmark, started, name, damage):
    assert benchmark({"Pop": None}) == 0
    damage(RUN / name)
    started.clear()
    assert benchmark({"Pop": None}) == 0
    assert started == ["Pop"]
    assert read()["rows"][0]["runs"]


def test_runs_on_other_data_are_not_kept(benchmark, started, tiny):
    assert benchmark({"Pop": None}) == 0
    (test_set,) = read()["test_sets"]
    requests = tiny / "tiny" / "tiny.request"
    requests.write_text(requests.read_text().replace("a warm coat", "a cold coat"))
    started.clear()
    assert benchmark({"Pop": None}) == 0
    assert started == ["Pop"]
    # the fingerprint alone would not have shown it
    assert read()["test_sets"] == [test_set]


def test_missing_data_are_reported_before_any_model_is_started(
    benchmark, started, capsys
):
    assert benchmark({"Pop": None}, "--dataset=hm") == 2
    error = capsys.readouterr().err
    assert "No model was run. There is no dataset 'hm'" in error
    assert "recbole-whisperlite prepare" in error
    assert started == [] and not Path("results/hm").exists()


@pytest.mark.parametrize("file", ["out", "out/runs", "out/benchmark.json/x"])
def test_an_output_that_cannot_be_written_to_is_reported(benchmark, file, capsys):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).touch()
    assert benchmark({"Pop": None}, "--output=out") == 2
    assert "output: out cannot be written to. [Errno" in capsys.readouterr().err


def test_an_interrupted_benchmark_says_how_to_continue(benchmark, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_wait", interrupted)
    assert benchmark({"Pop": None}) == 130
    assert "Finished runs are kept in results/tiny" in capsys.readouterr().err
    assert not (RUN / "job.json").exists()


def test_a_terminated_benchmark_leaves_no_process_behind(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    pid = tmp_path / "pid"
    child = f"""
import os, signal, time
open({str(pid)!r}, "w").write(str(os.getpid()))
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""
    with pytest.raises(KeyboardInterrupt):
        runner._wait(
            [sys.executable, "-c", child], tmp_path / "log.txt", tqdm(disable=True)
        )
    assert not Path("/proc", pid.read_text()).exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux ends children")
def test_a_killed_benchmark_leaves_no_process_behind(tmp_path):
    pid = tmp_path / "pid"
    child = f"""
import os, time
open({str(pid)!r} + "w", "w").write(str(os.getpid()))
os.rename({str(pid)!r} + "w", {str(pid)!r})
time.sleep(60)
"""
    parent = f"""
import sys
import time
from tqdm import tqdm
from recbole_whisperlite.benchmark import runner
runner._wait([sys.executable, "-c", {child!r}], {str(tmp_path / "log")!r}, tqdm(disable=True))
"""
    killed = subprocess.Popen([sys.executable, "-c", parent])
    end = time.monotonic() + 120
    while not pid.exists() and time.monotonic() < end:
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    status = Path("/proc", pid.read_text(), "stat")
    while time.monotonic() < end:
        # one that nobody waits for is dead, too
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child outlives the benchmark")


def test_two_benchmarks_do_not_write_to_one_folder(benchmark, capsys):
    Path("results/tiny").mkdir(parents=True)
    with FileLock("results/tiny/.lock"):
        assert benchmark({"Pop": None}) == 2
    assert "another benchmark is writing to results/tiny" in capsys.readouterr().err
    assert benchmark({"Pop": None}) == 0


def test_a_trial_that_fails_is_reported(benchmark, capsys):
    ranges = {"embeding_size": [1, 2]}
    assert benchmark({"BPR": {"tune": ranges}}, "--tune=2") == 0
    error = capsys.readouterr().err
    assert "tuning: BPR, seed 2020, trial 1 failed: There is no setting" in error


def test_a_fusion_has_the_inputs_of_its_parts():
    fusion = plan.Row("LateFusion", "LateFusion")
    before = {"known_at_test": "before_request"}
    default = {"fusion_models": ["RequestPop", "ItemKNN", "BM25"], **before}
    # ItemKNN scores the history of the query, BPR the id of its user
    assert inputs(fusion, default) == ["request", "item text", "history", "item id"]
    assert inputs(fusion, {}) == inputs(fusion, default)
    of_ids = {"fusion_models": ["Pop", "BPR"], "known_at_test": "train"}
    assert inputs(fusion, of_ids) == ["user", "item id"]
    up_to_training = ["user (up to training)", "item id"]
    assert inputs(fusion, {**of_ids, **before}) == up_to_training


def test_sequential_models_that_see_the_user_say_so():
    for name in ("Caser", "FPMC", "HGN"):
        row = plan.Row(name, name)
        assert "user" in inputs(row, {"known_at_test": "train"})
        assert "user (up to training)" in inputs(row, {})
    assert inputs(plan.Row("SASRec", "SASRec"), {}) == ["history", "item id"]
