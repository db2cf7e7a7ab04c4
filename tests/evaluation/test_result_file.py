"""What a run writes at its end."""

import json

import pytest
from recbole.quick_start import load_data_and_model, run_recbole

KEYS = (
    "model dataset seed settings best_valid_result test_result units fingerprint "
    "seconds parameters peak_memory_mb versions"
).split()


def run(model, data_path, **more):
    settings = {
        "data_path": str(data_path),
        "epochs": 2,
        "topk": [3],
        "valid_metric": "NDCG@3",
        "state": "ERROR",
        "show_progress": False,
        "result_file": "results/out.json",
        "train_batch_size": 64,
        **more,
    }
    result = run_recbole(model, "tiny", config_dict=settings)
    with open("results/out.json") as file:
        return result, json.load(file)


@pytest.mark.parametrize("model", ["WhisperLite", "BPR", "SASRec", "DeepFM", "Pop"])
def test_every_model_writes_one_result_file(model, tiny, own_folder):
    result, written = run(model, tiny)
    assert set(KEYS) <= set(written)
    assert written["model"] == model and written["dataset"] == "tiny"
    assert written["test_result"] == dict(result["test_result"])
    assert written["best_valid_result"] == dict(result["best_valid_result"])
    assert written["units"] == {"valid": 3, "test": 4}
    assert all(len(mark) == 16 for mark in written["fingerprint"].values())
    assert set(written["seconds"]) == {"prepare", "encode", "train", "evaluate"}
    assert all(seconds >= 0 for seconds in written["seconds"].values())
    assert (written["seconds"]["encode"] > 0) == (model == "WhisperLite")
    assert written["peak_memory_mb"] > 50
    assert written["versions"]["recbole"] == "1.2.1"
    assert written["settings"]["epochs"] == 2


def test_the_number_of_parameters_is_that_of_the_model(tiny, own_folder):
    _, written = run("BPR", tiny, embedding_size=8)
    assert written["parameters"] == (5 + 10) * 8  # users and items with their padding


def test_examples_are_printed_with_item_texts(tiny, own_folder, capsys):
    run("BPR", tiny, show_examples=2)
    printed = capsys.readouterr().out
    assert printed.count("Request: ") == 2
    assert printed.count("Thing ") == 10


def test_a_saved_model_can_be_loaded_and_evaluates_to_the_same(
    tiny, own_folder, tmp_path
):
    for model in ("WhisperLite", "BPR"):
        result, _ = run(model, tiny, checkpoint_dir=str(tmp_path / model))
        (file,) = (tmp_path / model).glob("*.pth")
        config, loaded, dataset, _, _, test = load_data_and_model(str(file))
        from recbole.utils import get_trainer

        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, loaded)
        again = trainer.evaluate(test, load_best_model=False)
        assert dict(again) == dict(result["test_result"])
