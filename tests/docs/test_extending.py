"""docs/extending.md: every example is taken from the page and run as it stands there."""

import json
import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny import write_tiny

from recbole_whisperlite import cli, own_code
from recbole_whisperlite.benchmark import plan
from recbole_whisperlite.encoder import encode

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
# What a run on a dozen requests needs beside the command on the page.
SMALL = {"epochs": 1, "state": "ERROR", "embedding_size": 4}


def blocks(language):
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    return found


def commands():
    return [line for block in blocks("bash") for line in block.splitlines()]


@pytest.fixture
def project(write_module, own_folder, monkeypatch, started):
    """The page's python blocks as the files that they name, and the dozen requests."""
    write_tiny(Path("dataset"))
    for code in blocks("python"):
        file = code.partition("\n")[0].removeprefix("# ").removesuffix(".py")
        write_module(file.replace("/", "."), code)


def run(command, monkeypatch, *more):
    """Run a command of the page in this process; a new one takes seconds."""
    program, *flags = shlex.split(command)
    assert program == "recbole-whisperlite"
    flags += [f"--{key}={value}" for key, value in SMALL.items()] + list(more)
    monkeypatch.setattr("sys.argv", ["recbole-whisperlite", *flags])
    assert cli.main(flags) == 0


def the_command(*words):
    (found,) = [line for line in commands() if all(word in line for word in words)]
    return found


def rows():
    written = json.loads(Path("results/tiny/benchmark.json").read_text())
    return {row["name"]: row for row in written["rows"]}


def result():
    return json.loads(Path("out.json").read_text())


def test_the_model_stands_in_a_benchmark(project, monkeypatch):
    run(the_command("benchmark", "TextAndPop"), monkeypatch, "--encoder=tfidf")
    assert rows()["TextAndPop"]["inputs"] == ["request", "item text", "item id"]
    ran = Path("results/tiny/runs/TextAndPop/2020/result.json").read_text()
    assert json.loads(ran)["settings"]["pop_weight"] == 0.2
    assert rows()["TextAndPop"]["metrics"]["ndcg@10"]["mean"] > 0


def test_the_model_is_run_alone(project, monkeypatch):
    command = the_command("run", "TextAndPop")
    run(command, monkeypatch, "--encoder=tfidf", "--result_file=out.json")
    assert result()["settings"]["pop_weight"] == 0.1


def test_the_yaml_has_the_rows_that_it_shows(project):
    (text,) = blocks("yaml")
    Path("rows.yaml").write_text(text)
    with own_code.allowed(True):
        made = plan.make_plan(["--config_files=rows.yaml"])
    assert [row.name for row in made.rows] == ["BM25", "strong popularity", "tuned"]
    assert made.rows[1].settings == {"pop_weight": 1.0}
    assert made.rows[2].ranges == {"pop_weight": [0.01, 0.1, 1.0]}
    assert {row.model for row in made.rows[1:]} == {"shop.models:TextAndPop"}


def test_the_script_runs_the_model_by_its_name(project, monkeypatch):
    Path("shop/TextAndPop.yaml").write_text(
        "unused: 1\n"
    )  # settings stand in the class
    monkeypatch.setattr("sys.argv", ["script.py", "--state=ERROR", "--encoder=tfidf"])
    monkeypatch.syspath_prepend(Path.cwd())
    from recbole import quick_start

    results = []
    trains = quick_start.run_recbole
    monkeypatch.setattr(
        quick_start, "run_recbole", lambda **given: results.append(trains(**given))
    )
    runpy.run_path("script.py", run_name="__main__")
    assert results[0]["test_result"]["ndcg@10"] > 0


def test_the_encoder_serves_whisperlite(project, monkeypatch, settings_of_encoders):
    command = the_command("run", "Trigrams")
    run(
        command, monkeypatch, "--result_file=out.json", f"--cache_dir={Path('vectors')}"
    )
    assert result()["settings"]["encoder"] == "shop.encoders:Trigrams"
    assert len(list(Path("vectors").glob("Trigrams-*.npy"))) >= 2
    texts = ["red dress", "red dres", "blue shoes"]
    config = {**settings_of_encoders, "encoder": "shop.encoders:Trigrams"}
    vectors = encode(config, texts, ids=texts, side="item", fit_texts=[])
    assert vectors.shape == (3, 512)
    assert vectors[0] @ vectors[1] > 0.8 > 0.2 > vectors[0] @ vectors[2]


def test_the_list_of_encoders_that_the_page_shows_is_one(project, settings_of_encoders):
    (shown,) = re.findall(r"`encoder: (\[.*?\])`", PAGE.read_text("utf-8"))
    names = yaml.safe_load(shown)
    config = {**settings_of_encoders, "encoder": names}
    vectors = encode(config, ["a"], ids=["a"], side="item", fit_texts=[])
    assert vectors.shape[1] > 512


@pytest.fixture
def settings_of_encoders():
    return {
        "vector_dtype": "float32",
        "cache_dir": "cache",
        "long_text": "truncate",
        "encode_batch_size": 8,
        "clip_model": "ViT-B-32",
        "clip_pretrained": "laion2b_s34b_b79k",
        "show_progress": False,
    }


def test_the_converters_folder_trains(project, monkeypatch):
    searches = [
        {
            "user": f"u{u}",
            "typed": f"a {t}\tthing",
            "bought": [f"it-{t}", f"x-{u}"],
            "at": t,
        }
        for u in range(4)
        for t in range(5)
    ]
    lines = "".join(json.dumps(search) + "\n" for search in searches)
    Path("searches.jsonl").write_text(lines)
    monkeypatch.syspath_prepend(Path.cwd())
    runpy.run_module("shop.convert", run_name="__main__")
    assert sorted(path.name for path in Path("dataset/searches").iterdir()) == [
        "searches.inter",
        "searches.item",
        "searches.request",
    ]
    assert "a 3 thing" in Path("dataset/searches/searches.request").read_text()
    flags = ("--encoder=tfidf", "--result_file=out.json", "--topk=3")
    command = the_command("run", "searches")
    run(command, monkeypatch, *flags, "--valid_metric=NDCG@3")
    assert result()["units"]["test"] == 4


def test_the_metric_appears_in_the_result_and_orders_the_table(project, monkeypatch):
    run(the_command("Miss"), monkeypatch)
    written = json.loads(Path("results/tiny/benchmark.json").read_text())
    assert written["main_metric"] == "miss@10" in written["smaller_is_better"]
    assert "miss@10" in written["metrics_of_queries"]
    for row in rows().values():
        assert (
            0 <= row["metrics"]["miss@10"]["low"] <= row["metrics"]["miss@10"]["high"]
        )
        assert np.isfinite(row["runs"]["2020"]["test_result"]["ndcg@10"])


def test_every_command_of_the_page_is_run_by_a_test():
    assert len(commands()) == 6
    assert "python -m shop.convert" in commands()
