"""The command lines, as a user meets them."""

import json
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from recbole_whisperlite import cli
from recbole_whisperlite.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


def run(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["run_recbole.py", *flags])
    return cli.run(list(flags))


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--model=WisperLite"], "Did you mean 'WhisperLite'?"),
        (["--contrastive_wieght=1"], "Did you mean 'contrastive_weight'?"),
        (["--dataset=tinny"], "Did you mean 'tiny'?"),
        (["--config_files=mine.yaml"], "there is no file 'mine.yaml' and no preset"),
        (["--config_files=broken.yaml"], "broken.yaml is not yaml"),
        (["--config_files=words.yaml"], "words.yaml holds no 'key: value'"),
        (["--config_files=whisperlite-papers"], "Did you mean 'whisperlite-paper'?"),
        (["--topk=0"], "topk is 0; it must be an integer of at least 1"),
        (["--topk=5", "--valid_metric=NDCG@10"], "or set topk to [5, 10]"),
        (["--metrics=[Recall,MRR]"], "Add NDCG to metrics"),
        (["--epochs", "1"], "Write --epochs=1."),
        (["--neighbor_num=3"], "neighbor_num is a setting of WhisperLitePlus"),
        (["--contrastive=infonse"], "Did you mean 'infonce'?"),
        (["--encoder=tfid"], "Did you mean 'tfidf'?"),
        (["--nproc=2", "--model=WisperLite"], "Did you mean 'WhisperLite'?"),
        (["--nproc=0"], "nproc is 0"),
        (["--nproc=2", "--world_size=3", "--group_offset=2"], "do not fit into it"),
    ],
)
def test_a_mistake_ends_in_one_message_and_status_2(
    flags, told, tiny, own_folder, monkeypatch, capsys
):
    Path("broken.yaml").write_text("a: [1\n")
    Path("words.yaml").write_text("just words\n")
    defaults = {"--data_path": str(tiny), "--dataset": "tiny", "--state": "ERROR"}
    given = {flag.split("=")[0] for flag in flags}
    flags = flags + [f"{k}={v}" for k, v in defaults.items() if k not in given]
    assert run(monkeypatch, *flags) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("error: ") == 1 and "Traceback" not in error


def test_a_mistake_that_one_of_several_processes_finds_is_the_same_message(
    monkeypatch, own_folder, capsys
):
    from recbole import quick_start
    from torch.multiprocessing import ProcessRaisedException

    def fail(*args, **kwargs):
        try:
            raise UserError("Set nproc to 3 or less.")
        except UserError:
            raise ProcessRaisedException(traceback.format_exc(), 1, 2) from None

    monkeypatch.setattr(quick_start, "run", fail)
    assert run(monkeypatch, "--model=BPR", "--dataset=ml-100k") == 2
    assert capsys.readouterr().err == "error: Set nproc to 3 or less.\n"


def test_a_fault_of_ours_is_not_dressed_up_as_a_mistake(monkeypatch, own_folder):
    from recbole import quick_start

    def fail(*args, **kwargs):
        raise ValueError("a bug")

    monkeypatch.setattr(quick_start, "run", fail)
    with pytest.raises(ValueError, match="a bug"):
        run(monkeypatch, "--model=BPR")


def test_a_run_ends_with_a_table_and_the_next_command(tiny, monkeypatch, capsys):
    flags = ["--model=BPR", "--dataset=tiny", f"--data_path={tiny}", "--epochs=1"]
    flags += ["--topk=3", "--valid_metric=NDCG@3", "--metrics=[NDCG,Recall]"]
    assert run(monkeypatch, *flags, "--state=INFO") == 0
    printed = capsys.readouterr()
    table = printed.out.split("BPR on tiny\n")[1].splitlines()
    assert table[1].split() == ["validation", "test"]
    assert [line.split()[0] for line in table[2:4]] == ["ndcg@3", "recall@3"]
    assert "recbole-whisperlite benchmark --model=BPR,BM25,WhisperLite " in table[-1]
    for text in (printed.out, printed.err):
        assert "OrderedDict" not in text and "np.float64" not in text
        assert "it/s]" not in text  # bars are for terminals


def test_costs_was_called_bench(capsys):
    assert cli.main(["bench"]) == 2
    assert "recbole-whisperlite costs" in capsys.readouterr().err


def test_an_unknown_command_lists_the_commands(capsys):
    assert cli.main(["prepair"]) == 2
    printed = capsys.readouterr()
    assert "doctor" in printed.out and "'prepair'" in printed.err


def test_run_recbole_py_trains_from_any_folder(tiny, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_recbole.py"), "--model=WhisperLite"]
        + ["--dataset=tiny", f"--data_path={tiny}", "--epochs=2", "--topk=3"]
        + ["--valid_metric=NDCG@3", "--show_examples=1", "--result_file=out.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Request: " in done.stdout
    assert "fingerprint" in done.stdout + done.stderr
    assert json.loads((tmp_path / "out.json").read_text())["units"]["test"] == 4
