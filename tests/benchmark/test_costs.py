"""`costs` where the result is predictable: histories hidden from trained models."""

import json

import pytest

from recbole_whisperlite.benchmark import costs, newcomers
from tiny import write_tiny


def test_cold_hides_histories_from_models_that_use_them(tmp_path):
    # every user goes around a ring of items, so the history predicts the next item; the
    # request, which is always the same, does not
    users, steps = range(36), range(5)
    choices = [
        (f"u{u}", f"i{1 + (u + step) % 18}", f"r{u}_{step}", step)
        for u in users
        for step in steps
    ]
    requests = {request: "a thing" for _, _, request, _ in choices}
    items = {f"i{n}": f"Thing {n}" for n in range(1, 19)}
    folder = write_tiny(tmp_path, choices=choices, requests=requests, items=items)

    costs.main(
        ["--dataset=tiny", f"--data_path={folder}", "--parts", "cold"]
        + ["--seeds", "2020", "--output", str(tmp_path / "cold.json")]
    )

    figures = json.loads((tmp_path / "cold.json").read_text())["cold"]
    plain, plain_hidden, seen, hidden, pop, pop_hidden, linear, linear_hidden = (
        figures[f"{model}, test NDCG@10{how}"]
        for model in ("WhisperLite", "WhisperLitePlus", "RequestPop", "LinearFusion")
        for how in ("", ", histories hidden")
    )
    # these do not use histories
    assert plain == pytest.approx(plain_hidden) and pop == pytest.approx(pop_hidden)
    assert hidden < seen - 0.1 and linear_hidden < linear - 0.1


def test_asking_is_measured_one_by_one_and_in_batches(tmp_path):
    folder = write_tiny(tmp_path)
    costs.main(
        ["--dataset=tiny", f"--data_path={folder}", "--parts", "asking"]
        + ["--rounds=1", "--output", str(tmp_path / "asking.json")]
    )
    figures = json.loads((tmp_path / "asking.json").read_text())["asking"]
    for model in ("WhisperLite", "WhisperLitePlus"):
        single = figures[f"{model}, milliseconds for a single request"]
        assert 0 < single < 1000 * figures[f"{model}, seconds to load"] + 1000
        # a batch shares what each request of its own pays
        assert figures[f"{model}, requests a second in batches"] > 1000 / single


def test_newcomers_are_left_out_of_the_training_and_found_by_their_texts(tmp_path):
    # a request has the words of its product, so texts alone find each
    names = [
        f"{colour} {garment}"
        for colour in ("red", "blue", "green", "black", "white")
        for garment in ("dress", "shoes", "hat", "coat")
    ]
    items = {f"i{n}": name for n, name in enumerate(names)}
    choices = [(f"u{n % 15}", f"i{n % 20}", f"r{n}", n) for n in range(120)]
    requests = {f"r{n}": items[f"i{n % 20}"] for n in range(120)}
    folder = write_tiny(tmp_path, choices=choices, requests=requests, items=items)
    figures = newcomers.measure(
        ("ZeroShot",),
        "tiny",
        str(folder),
        {"encoder": "whisperlite-mini", "state": "ERROR"},
    )
    assert figures["new products"] == 2 and figures["their requests"] == 12
    assert figures["ZeroShot, NDCG@10"] == pytest.approx(1)
    assert figures["ZeroShot, NDCG@10, among new products"] == pytest.approx(1)
    # the data itself is left as it was
    assert len((folder / "tiny/tiny.inter").read_text().splitlines()) == 121
