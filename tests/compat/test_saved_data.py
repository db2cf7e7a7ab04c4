"""save_dataset and save_dataloaders: what is reused is of this run's files and settings."""

import pytest
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.quick_start import run_recbole


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def config_of(folder, model="BPR", **settings):
    given = {"data_path": str(folder), "state": "ERROR", **settings}
    return Config(model, "tiny", config_dict=given)


def test_a_saved_dataset_has_the_settings_of_the_run(tiny):
    first = config_of(tiny, save_dataset=True)
    saved = create_dataset(first)
    second = config_of(tiny, topk=[3], valid_metric="NDCG@3")
    read = create_dataset(second)
    assert read is not saved and read.config is second
    assert read.made_of == saved.made_of  # only a saved one has it


@pytest.mark.parametrize(
    "changed",
    [
        {"eval_args": {"split": {"LS": "test_only"}}},
        {"encoder": "tfidf"},
        {"train_neg_sample_args": None},
    ],
)
def test_a_dataset_of_other_settings_is_read_anew(tiny, changed):
    create_dataset(config_of(tiny, save_dataset=True))
    read = create_dataset(config_of(tiny, **changed))
    assert not hasattr(read, "made_of")
    fresh = create_dataset(config_of(tiny, checkpoint_dir="elsewhere", **changed))
    assert len(read.build()[2]) == len(fresh.build()[2])


@pytest.mark.parametrize("setting", ["save_dataset", "save_dataloaders"])
def test_data_of_other_files_are_read_anew(tiny, setting):
    config = config_of(tiny, **{setting: True})
    data_preparation(config, create_dataset(config))
    with open(tiny / "tiny" / "tiny.inter", "a") as file:
        file.write("u9\ti1\t\t9\n")
    config = config_of(tiny)
    dataset = create_dataset(config)
    train, *_ = data_preparation(config, dataset)
    assert "u9" in dataset.field2token_id["user_id"]
    assert "u9" in train.dataset.field2token_id["user_id"]


@pytest.mark.parametrize("model", ["BPR", "ZeroShot", "WhisperLite"])
def test_a_run_that_saves_its_dataloaders_goes_on(tiny, model):
    given = {"data_path": str(tiny), "epochs": 1, "state": "ERROR", "encoder": "tfidf"}
    given.update(show_progress=False)
    saving, reading, plain = (
        run_recbole(model, "tiny", config_dict={**given, **more})["test_result"]
        for more in (
            {"save_dataloaders": True},
            {},  # takes the saved ones
            {"checkpoint_dir": "elsewhere"},
        )
    )
    assert saving == reading == plain
