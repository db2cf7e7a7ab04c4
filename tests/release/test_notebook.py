"""The notebook from pip install to an answered request, executed by Jupyter's kernel."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs/examples/from-pip-to-an-answer.ipynb"
needs_jupyter = "the extra test has them"
nbformat = pytest.importorskip("nbformat", reason=needs_jupyter)
nbclient = pytest.importorskip("nbclient", reason=needs_jupyter)
pytest.importorskip("ipykernel", reason=needs_jupyter)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell):
    """What a cell prints and shows, as text."""
    return "".join(
        each.text if each.output_type == "stream" else each.data["text/plain"]
        for each in cell.outputs
        if each.get("name") != "stderr"
    )


@pytest.fixture(scope="module")
def kept():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_kept_notebook_has_its_outputs_and_is_small(kept):
    nbformat.validate(kept)
    assert NOTEBOOK.stat().st_size < 10_000
    install, data, table, export, answer = code_cells(kept)
    assert install.source == "%pip install --quiet recbole-whisperlite"
    assert [cell.execution_count for cell in code_cells(kept)] == [1, 2, 3, 4, 5]
    assert "small-shop.inter" in shown(data)
    assert "WhisperLite" in shown(table) and "BM25" in shown(table)
    assert len(re.findall(r"\bp\d{3}\b", shown(answer))) == 3
    assert str(Path.home()) not in json.dumps(kept)


def test_it_goes_from_pip_to_a_table_and_an_answer(kept, tmp_path, monkeypatch):
    # two cells start processes; on a busy machine threads would wait for each other
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    client = nbclient.NotebookClient(
        nbformat.from_dict(kept),
        timeout=400,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    ran = client.execute()
    install, data, table, export, answer = map(shown, code_cells(ran))
    assert "ERROR" not in install
    assert data == shown(code_cells(kept)[1])  # the same seed, the same shop

    rows = pd.read_csv(tmp_path / "results/small-shop/benchmark.csv", index_col="model")
    assert set(rows.index) == {"WhisperLite", "BM25"}
    for name, ndcg in rows["ndcg@10"].items():
        [line] = [line for line in table.splitlines() if line.startswith(name)]
        assert f" {ndcg:.4f} " in line
    assert (rows["ndcg@10"] > 0.1).all()  # by chance it is about .03
    assert (tmp_path / "shop-model/config.json").is_file()
    found = re.findall(r"\bp\d{3}\b", answer)
    assert len(set(found)) == 3 and "coat" in answer
