"""What the tables mark, with made-up figures."""

from pathlib import Path

from recbole_whisperlite.benchmark import tables


def cell(mean, p_holm=None, deviation=None):
    return {"mean": mean, "deviation": deviation, "p_holm": p_holm}


def row(name, ndcg, violation, errors=None):
    metrics = {"ndcg@10": ndcg, "ndcg@50": cell(0.9), "violation@10": violation}
    return {
        "name": name,
        "inputs": ["request", "item text"],
        "runs": {} if errors else {"1": {}},
        "errors": errors or {},
        "metrics": {} if errors else metrics,
        "cost": {"train_seconds": 12.34},
    }


BENCHMARK = {
    "dataset": "a_b",
    "seeds": [1, 2],
    "metrics": ["ndcg@10", "ndcg@50", "violation@10"],
    "main_metric": "ndcg@10",
    "smaller_is_better": ["violation@10"],
    "reference": "First",
    "significance": "By a test.",
    "composed_requests": None,
    "test_sets": [{"queries": 4, "items": 9, "fingerprint": "abc", "seeds": [1, 2]}],
    "rows": [
        row("First", cell(0.5, deviation=0.01), cell(0.3)),
        row("Second", cell(0.4, 0.2), cell(0.1)),
        row("Third|1", cell(0.4, 0.001), cell(0.2)),
        row("Fourth", cell(0.1, 0.04), cell(0.3)),
        row("Broken", None, None, {"1": "out of memory"}),
    ],
}


def line(text, name):
    (found,) = [
        line for line in text.splitlines() if line.lstrip("| ").startswith(name)
    ]
    return found


def test_markdown_has_the_best_bold_the_second_underlined_and_significance_starred():
    text = tables.as_markdown(BENCHMARK)
    assert "**0.5000 ± 0.0100** | 0.3000 | 12.3 |" in line(text, "First")
    assert "<u>0.4000</u> | **0.1000** |" in line(text, "Second")
    # ties with the row above, and differs significantly from the reference
    assert r"<u>0.4000</u>\* | <u>0.2000</u> |" in line(text, r"Third\|1")
    assert r"| 0.1000\* |" in line(text, "Fourth")
    assert "| failed |" in line(text, "Broken")
    assert "- Broken, seed 1, failed: out of memory" in text
    assert "ndcg@50" not in text  # not at the main metric's k
    widths = {line.replace(r"\|", "").count("|") for line in text.splitlines()[:7]}
    assert len(widths) == 1


def test_latex_is_a_booktabs_table_with_the_same_marks():
    text = tables.as_latex(BENCHMARK)
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"a\_b", "NDCG@10"):
        assert part in text
    assert r"\textbf{0.5000 $\pm$ 0.0100} & 0.3000 \\" in line(text, "First")
    assert r"\underline{0.4000} & \textbf{0.1000}" in line(text, "Second")
    assert r"\underline{0.4000}$^{*}$ &" in line(text, "Third")
    assert r"\multicolumn{2}{l}{failed} \\" in line(text, "Broken")
    assert all(
        row.count(" & ") in (2, 3) for row in text.splitlines() if row.endswith(r" \\")
    )


def test_equal_means_share_a_rank():
    assert tables.best_and_second(BENCHMARK, "ndcg@10") == (
        {"First"},
        {"Second", "Third|1"},
    )
    assert tables.best_and_second(BENCHMARK, "violation@10") == (
        {"Second"},
        {"Third|1"},
    )


def test_nothing_half_written_is_left(tmp_path):
    tables._replace(Path(tmp_path) / "x.md", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["x.md"]
