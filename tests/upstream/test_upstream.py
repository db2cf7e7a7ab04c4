"""WhisperLite in RecBole's own sources, without this package."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import recbole
import yaml

from recbole_whisperlite import cli
from recbole_whisperlite.config.annotated import read_settings
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.upstream import alone, change, command, moved, queries
from recbole_whisperlite.upstream.check import check, core_lines

#: Lines of a clone that an installed RecBole lacks, as far as the change edits them.
TEST_FILE = "import os\n\n\nclass TestGeneralRecommender:\n    pass\n"
TEST_FILE += "\n\nclass TestContextRecommender:\n    pass\n"
MODEL = "recbole/model/general_recommender/whisperlite.py"


@pytest.fixture(scope="module")
def sources():
    return Path(recbole.__file__).parent


@pytest.fixture
def installed(tmp_path, sources):
    """An installed RecBole's sources: no tests, no pages."""
    ignore = shutil.ignore_patterns("__pycache__", "dataset_example")
    shutil.copytree(sources, tmp_path / "RecBole" / "recbole", ignore=ignore)
    return tmp_path / "RecBole"


@pytest.fixture
def clone(installed):
    """With the lines of tests, pages and lists that a clone has."""
    package = "recbole.model.general_recommender"
    for path, text in {
        "tests/model/test_model_auto.py": TEST_FILE,
        "docs/source/user_guide/model_intro.rst": "Models\n\n   model/general/bpr\n"
        "   model/general/ldiffrec\n\n   model/context/fm\n",
        f"docs/source/recbole/{package}.rst": f"   {package}.admmslim\n   {package}.bpr\n",
        "asset/model_list.json": '{\n  "data": [\n      {"model": "BPR"}\n  ]\n}\n',
    }.items():
        (installed / path).parent.mkdir(parents=True, exist_ok=True)
        (installed / path).write_text(text)
    return installed


def contents(root):
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_it_works_in_recbole_without_this_package(installed, capfd):
    before = contents(installed)
    model = change.model_change(installed)
    made = model | change.queries_change(installed, model)
    change.write(installed, made)
    after = contents(installed)
    assert {path for path in after if after[path] != before.get(path)} == set(made)
    found = {
        what: (holds, figures) for what, holds, figures in check(installed, made, True)
    }
    assert len(found) == 6
    for what, (holds, figures) in found.items():
        assert holds is (None if "own test" in what else True), (what, figures)
    assert contents(installed).keys() - after.keys() == set()


QUERIES = """
import json, sys
from recbole.config import Config
from recbole.data import create_dataset, data_preparation

settings = json.loads(sys.argv.pop())
config = Config("WhisperLite", "shop", config_dict=settings)
dataset = create_dataset(config)
test = data_preparation(config, dataset)[2]
rows = []
for row in range(len(test.user_df)):
    query, (_, seen), _, positive = test.collate_fn([row])
    rows.append([
        *(str(dataset.id2token(field, int(query[field]))) for field in ("user_id", "request")),
        *(sorted(str(dataset.id2token("item_id", int(id))) for id in ids)
          for ids in (positive, seen)),
    ])
print(json.dumps(sorted(rows)))
"""
# two requests of u1 in the test part, one of them with two positives; u3 buys the tenth
SHOP = [("u1", f"i{n}", "old", n) for n in range(1, 7)]
SHOP += [("u2", f"i{n}", "old", n) for n in range(1, 7)]
SHOP += [("u1", "i7", "coat", 7), ("u1", "i8", "coat", 7), ("u1", "i9", "hat", 8)]
SHOP += [("u2", "i9", "hat", 7), ("u2", "i8", "hat", 8), ("u2", "i7", "hat", 9)]
SHOP += [("u3", "i10", "old", 1)]


def test_queries_are_ranked_each_with_its_own_positives(installed, tmp_path):
    model = change.model_change(installed)
    change.write(installed, model | change.queries_change(installed, model))
    home = tmp_path / "data" / "shop"
    home.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token\trequest:token\ttimestamp:float"]
    lines += ["\t".join(map(str, row)) for row in SHOP]
    (home / "shop.inter").write_text("\n".join(lines) + "\n")
    lines = ["item_id:token\ttitle:token", *(f"i{n}\tthing {n}" for n in range(1, 11))]
    (home / "shop.item").write_text("\n".join(lines) + "\n")
    script = tmp_path / "queries.py"
    script.write_text(QUERIES)
    settings = {
        "data_path": str(tmp_path / "data"),
        "load_col": {
            "inter": ["user_id", "item_id", "request", "timestamp"],
            "item": ["item_id", "title"],
        },
        "eval_args": {
            "split": {"RS": [5, 1, 3]},
            "order": "TO",
            "group_by": "user",
            "mode": "full",
        },
        "query_fields": ["user_id", "request"],
        "state": "ERROR",
        "use_gpu": False,
    }
    done = subprocess.run(
        [sys.executable, alone.__file__, installed, script, json.dumps(settings)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    earlier = [f"i{n}" for n in range(1, 7)]
    assert json.loads(done.stdout.splitlines()[-1]) == [
        ["u1", "coat", ["i7", "i8"], earlier],
        ["u1", "hat", ["i9"], earlier],
        ["u2", "hat", ["i7", "i8", "i9"], earlier],
    ]


def test_evaluation_by_query_changes_at_most_twenty_lines_of_the_core(installed):
    model = change.model_change(installed)
    made = change.queries_change(installed, model)
    before = {path: (installed / path).read_text() for path in queries.CORE}
    assert 0 < core_lines(before, {path: made[path] for path in before}) <= 20
    # and the first change none of what it may not
    assert model.keys() & queries.CORE.keys() == set()


def test_a_clone_gets_a_test_test_data_and_pages(clone):
    before = contents(clone)
    made = change.model_change(clone)
    change.write(clone, made)
    after = contents(clone)
    assert {path for path in after if after[path] != before.get(path)} == set(made)
    compile(made["tests/model/test_model_auto.py"], "test", "exec")
    general, context = made["tests/model/test_model_auto.py"].split(
        "\n\nclass TestContext"
    )
    assert "def test_whisperlite(self):" in general and "def" not in context
    models = json.loads(made["asset/model_list.json"])["data"]
    assert [each["model"] for each in models] == ["WhisperLite", "BPR"]
    intro = made["docs/source/user_guide/model_intro.rst"]
    assert "ldiffrec\n   model/general/whisperlite\n\n   model/context" in intro
    page = made["docs/source/user_guide/model/general/whisperlite.rst"]
    settings = clone / "recbole/properties/model/WhisperLite.yaml"
    for name, value in yaml.safe_load(settings.read_text()).items():
        (line,) = [
            each for each in page.splitlines() if each.startswith(f"- ``{name} (")
        ]
        assert line.endswith(f"Defaults to ``{value}``.")
    inter = made["tests/test_data/whisperlite/whisperlite.inter"].splitlines()
    assert inter[0] == "user_id:token\titem_id:token\trequest:token\ttimestamp:float"
    assert len({line.split("\t")[0] for line in inter[1:]}) == 50


def test_all_settings_are_annotated_as_the_others_are(installed):
    change.write(installed, change.model_change(installed))
    path = installed / "recbole/properties/model/WhisperLite.yaml"
    assert read_settings(path).keys() == yaml.safe_load(path.read_text()).keys()


def test_the_second_change_can_follow_the_first(clone, capsys):
    assert command.main(["--recbole", str(clone)]) == 0
    first = contents(clone)
    assert command.main(["--recbole", str(clone), "--with-queries"]) == 0
    changed = {
        path for path, content in contents(clone).items() if first[path] != content
    }
    assert changed == {*queries.CORE, "recbole/data/dataset/customized_dataset.py"}
    with pytest.raises(UserError, match="QueryDataset already"):
        command.main(["--recbole", str(clone), "--with-queries"])


def test_what_does_not_fit_is_refused_and_nothing_is_written(
    installed, tmp_path, capsys
):
    assert cli.main(["upstream", "--recbole", str(tmp_path)]) == 2
    assert "clone of RecBole 1.2.1" in capsys.readouterr().err
    loss = installed / "recbole/model/loss.py"
    loss.write_text(
        loss.read_text().replace("import torch.nn as nn\n", "from torch import nn\n")
    )
    before = contents(installed)
    with pytest.raises(
        UserError, match="loss.py has 0 times, not once: 'import torch.nn"
    ):
        command.main(["--recbole", str(installed)])
    assert contents(installed) == before
    (installed / MODEL).write_text("")
    with pytest.raises(UserError, match="exists already. Start from a clean clone"):
        command.main(["--recbole", str(installed)])


def test_a_check_that_fails_is_told(installed, monkeypatch, capsys):
    broken = moved.Part("model/loss.py", ("InfoNCELoss", "_take"))  # no WhisperLiteLoss
    monkeypatch.setattr(moved, "LOSS", broken)
    change.write(installed, made := change.model_change(installed))
    with pytest.raises(UserError, match="cannot import name 'WhisperLiteLoss'"):
        list(check(installed, made, False))


def test_definitions_are_taken_with_the_comments_above_them():
    source = "import os\n\n# how many\nN = 3\n\n\n@property\ndef f():\n    return N\n\n\nx = 1\n"
    assert moved.definitions(source, ["f", "N"]) == (
        "@property\ndef f():\n    return N\n\n\n# how many\nN = 3\n"
    )


def test_the_page_counts_the_lines(sources):
    rows = {}
    for line in (
        (Path(__file__).parents[2] / "docs/upstream.md").read_text().splitlines()
    ):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 5 and cells[1].startswith("`recbole/"):
            rows[cells[1].strip("`")] = int(cells[2])
    made = change.model_change(sources.parent)
    added = {}
    for path, text in made.items():
        old = sources.parent / path
        before = old.read_text().splitlines() if old.exists() else []
        added[path] = len(text.splitlines()) - len(before)
    assert rows == {path: added[path] for path in added if path.startswith("recbole/")}
