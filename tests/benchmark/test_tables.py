"""What the tables mark, with made-up figures."""

from pathlib import Path

from recbole_whisperlite.benchmark import formats, tables


def cell(mean, p_holm=None, deviation=None, gap=None):
    if gap:
        names = "mean low high relative relative_low relative_high".split()
        gap = dict(zip(names, (*gap, gap[0] / 0.5, gap[1] / 0.5, gap[2] / 0.5)))
    return {
        "mean": mean,
        "deviation": deviation,
        "low": None,
        "high": None,
        "difference": gap,
        "p": p_holm,
        "p_holm": p_holm,
    }


def run(commit):
    return {
        "test_result": {"ndcg@10": 0.5, "ndcg@50": 0.9, "violation@10": 0.1},
        "seconds": {"train": 12.34},
        "parameters": 7,
        "peak_memory_mb": 100,
        "version": "9.8.7",
        "revision": commit and {"commit": commit * 40, "dirty": commit == "d"},
    }


def row(name, ndcg, violation, errors=None, seeds=("1", "2"), note=None, trials=0):
    metrics = {"ndcg@10": ndcg, "ndcg@50": cell(0.9), "violation@10": violation}
    return {
        "name": name,
        "model": name,
        "note": note,
        "trials": trials,
        "inputs": ["request", "item text"],
        "runs": {} if errors else {seed: run("a") for seed in seeds},
        "errors": errors or {},
        "metrics": {} if errors else metrics,
        "cost": {"train_seconds": 12.34},
    }


def part(label, positives, **means):
    means["Third|1"] = means.pop("Third")
    ends = {name: mean for name, mean in means.items()}
    return {
        "label": label,
        "queries": positives,
        "positives": positives,
        "means": means,
        "low": ends,
        "high": ends,
    }


SLICES = [
    part("0", 30, First=0.0, Second=0.25, Third=0.5, Fourth=0.125),
    part("1–3", 1234, First=0.75, Second=None, Third=0.5, Fourth=0.5),
]
BENCHMARK = {
    "dataset": "a_b",
    "seeds": [1, 2],
    "metrics": ["ndcg@10", "ndcg@50", "violation@10"],
    "main_metric": "ndcg@10",
    "metrics_of_queries": ["ndcg@10"],
    "slices": {"metric": "ndcg@10", "kinds": {"popularity": SLICES}},
    "smaller_is_better": ["violation@10"],
    "reference": "First",
    "significance": "By a test.",
    "composed_requests": None,
    "test_sets": [{"queries": 4, "items": 9, "fingerprint": "abc", "seeds": [1, 2]}],
    "rows": [
        row("First", cell(0.5, deviation=0.01), cell(0.3)),
        row("Second", cell(0.4, 0.2, gap=(-0.1, -0.15, -0.05)), cell(0.1)),
        row("Third|1", cell(0.4, 0.0001, gap=(-0.1, -0.12, 0.02)), cell(0.2)),
        row("Fourth", cell(0.1, 0.04, gap=(-0.4, -0.5, -0.3)), cell(0.3)),
        row("Broken", None, None, {"1": "out of memory"}),
    ],
}


def line(text, name, table=0):
    """The line of a row in one of the tables: results, differences, slice."""
    found = [line for line in text.splitlines() if line.lstrip("| ").startswith(name)]
    return found[table]


def changed(**rows):
    """The benchmark with other values of some rows."""
    return {
        **BENCHMARK,
        "rows": [{**row, **rows.get(row["name"], {})} for row in BENCHMARK["rows"]],
    }


def test_markdown_has_the_best_bold_the_second_underlined_and_significance_starred():
    text = formats.as_markdown(BENCHMARK)
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
    text = formats.as_latex(BENCHMARK)
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"a\_b", "NDCG@10"):
        assert part in text
    assert r"\textbf{0.5000 $\pm$ 0.0100} & 0.3000 \\" in line(text, "First")
    assert r"\underline{0.4000} & \textbf{0.1000}" in line(text, "Second")
    assert r"\underline{0.4000}$^{*}$ &" in line(text, "Third")
    assert r"\multicolumn{2}{l}{failed} \\" in line(text, "Broken")
    for table, widths in zip(text.split(r"\begin{table}")[1:], ((2, 3), (4,), (2,))):
        lines = [row for row in table.splitlines() if row.endswith(r" \\")]
        assert len(lines) >= 4 and {row.count(" & ") for row in lines} <= {*widths}
    assert r"Second & $-$0.1000 & [$-$0.1500, $-$0.0500] & $-$20.0 \% & 0.200" in text
    assert r"Third|1 & \textbf{0.5000} & \underline{0.5000} \\" in text


def test_effect_sizes_stand_below_the_table():
    text = formats.as_markdown(BENCHMARK)
    assert "### Difference from First in ndcg@10\n" in text
    expected = "| Second | −0.1000 | [−0.1500, −0.0500] | −20.0 % | 0.200 |"
    assert line(text, "Second", 1) == expected
    assert "| [−0.1200, +0.0200] | −20.0 % | < .001 |" in line(text, r"Third\|1", 1)
    lines = [row.split(",") for row in formats.differences_csv(BENCHMARK).splitlines()]
    (second,) = [row for row in lines if row[0] == "Second"]
    named = dict(zip(lines[0], second))
    assert (named["metric"], named["mean"], named["p_holm"]) == (
        "ndcg@10",
        "0.4",
        "0.2",
    )
    assert named["difference_low"] == "-0.15" and named["relative"] == "-0.2"
    (first,) = [row for row in lines if row[0] == "First"]
    assert dict(zip(lines[0], first))["difference"] == ""


def test_the_slice_by_training_counts_stands_below_the_table():
    text = formats.as_markdown(BENCHMARK)
    assert "| model | 0 (n = 30) | 1–3 (n = 1,234) |" in text
    assert line(text, "First", 1) == "| First | 0.0000 | **0.7500** |"
    assert line(text, "Second", 2) == "| Second | <u>0.2500</u> | – |"
    assert "Broken" not in text.split("### ")[2]
    lines = formats.slices_csv(BENCHMARK).splitlines()
    assert lines[0] == "name,metric,kind,slice,queries,positives,mean,low,high"
    assert "First,ndcg@10,popularity,1–3,1234,1234,0.75,0.75,0.75" in lines
    assert "Second,ndcg@10,popularity,1–3,1234,1234,,," in lines


def test_a_table_says_which_revision_its_rows_come_from():
    text = formats.as_markdown(BENCHMARK)
    assert "All rows: version 9.8.7, revision aaaaaaa." in text
    mixed = changed(Second={"runs": {"1": run("d"), "2": run("a")}})
    text = formats.as_markdown(mixed)
    told = "version 9.8.7, revision aaaaaaa (First, Second, Third|1, Fourth); "
    assert f"The rows are not of one revision: {told}" in text
    assert "revision ddddddd+ (Second). A plus sign: with changes" in text
    assert "9.8.7,ddddddd+," in formats.as_csv(mixed)
    unknown = {row["name"]: {"runs": {"1": run(None)}} for row in BENCHMARK["rows"][:4]}
    assert "All rows: version 9.8.7, revision unknown." in formats.as_markdown(
        changed(**unknown)
    )


def test_rows_with_fewer_seeds_say_why():
    few = {"runs": {"1": run("a")}, "note": "Hours a run."}
    text = formats.as_markdown(changed(Second=few))
    assert "\n- Second: seed 1 only. Hours a run.\n" in text
    assert "seed 1 only" in formats.as_latex(changed(Second=few))
    assert " only." not in formats.as_markdown(BENCHMARK)
    # a seed that failed is told as such
    failed = {"runs": {"1": run("a")}, "errors": {"2": "out of memory"}}
    text = formats.as_markdown(changed(Second=failed))
    assert " only." not in text and "- Second, seed 2, failed: out of memory" in text


def test_trials_of_tuning_are_a_column_if_there_were_any():
    assert "trials" not in formats.as_markdown(BENCHMARK)
    text = formats.as_markdown(changed(Second={"trials": 20}))
    assert "| trials | training s |" in text
    assert line(text, "Second").endswith("| 20 | 12.3 |")
    assert line(text, "First").endswith("| 0 | 12.3 |")
    assert "Trials & " not in formats.as_latex(changed(Second={"trials": 20}))
    assert " & Trials \\\\" in formats.as_latex(changed(Second={"trials": 20}))


def test_the_notes_say_how_users_products_and_folds_are_treated():
    def told(**protocol):
        return formats.as_markdown({**BENCHMARK, **protocol})

    before = told(known_at_test="before_request", new_items=0, folds=1)
    assert "before the request are known, those of validation included." in before
    assert "0.1 of the items" not in before and "folds" not in before
    assert "training part alone are known." in told(known_at_test="train")
    assert "0.1 of the items, drawn by seed, are in no" in told(new_items=0.1)
    assert "in 5 folds: each seed tests another stretch" in told(folds=5)
    assert "known" not in told() and "folds" not in told()


def test_equal_means_share_a_rank():
    assert formats.best_and_second(BENCHMARK, "ndcg@10") == (
        {"First"},
        {"Second", "Third|1"},
    )
    assert formats.best_and_second(BENCHMARK, "violation@10") == (
        {"Second"},
        {"Third|1"},
    )


def test_nothing_half_written_is_left(tmp_path):
    tables._replace(Path(tmp_path) / "x.md", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["x.md"]
