"""Files are read once a run."""

import sys

from recbole.quick_start import run_recbole

OPENED = []
sys.addaudithook(lambda event, args: event == "open" and OPENED.append(str(args[0])))


def test_each_file_of_a_dataset_is_read_once_a_run(tiny):
    OPENED.clear()
    run_recbole(
        "WhisperLitePlus",
        "tiny",
        config_dict={
            "data_path": str(tiny),
            "epochs": 1,
            "topk": [3],
            "valid_metric": "NDCG@3",
            "state": "ERROR",
        },
    )
    for suffix in ("inter", "request", "item"):
        assert OPENED.count(str(tiny / "tiny" / f"tiny.{suffix}")) == 1, suffix
