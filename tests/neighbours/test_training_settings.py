"""Settings of RecBole's trainer, and files of its parts: they work, or a sentence says why."""

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data.dataset import Dataset
from recbole.quick_start import load_data_and_model, run_recbole
from recbole.utils import get_model, get_trainer
from tiny import CHOICES, write_tiny

from recbole_whisperlite.config.settings import SCRIPT_FLAGS
from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError

SETTINGS = {
    "epochs": 1,
    "topk": [3],
    "valid_metric": "NDCG@3",
    "encoder": "tfidf",
    "state": "ERROR",
    "show_progress": False,
}
OURS_AND_BPR = pytest.mark.parametrize(
    "model", ["WhisperLite", "WhisperLitePlus", "BPR"]
)


def trained(prepare, model, data_path, **settings):
    """Return the model after an epoch, and the loss of that epoch."""
    config, _, (train, _, _) = prepare(model, data_path, encoder="tfidf", **settings)
    built = get_model(model)(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, built)
    return built, trainer._train_epoch(train, 0)


def moved(before, after):
    """How far the parameters are apart."""
    pairs = zip(before.parameters(), after.parameters())
    return sum((one - other).abs().sum().item() for one, other in pairs)


# --- the optimizer -------------------------------------------------------------------


@OURS_AND_BPR
def test_clipping_and_weight_decay_hold_parameters_back(model, tiny, prepare):
    start = trained(prepare, model, tiny, learning_rate=0)[0]
    given = {"learner": "sgd", "learning_rate": 0.1}
    free, loss = trained(prepare, model, tiny, **given)
    clipped, same_loss = trained(
        prepare, model, tiny, clip_grad_norm={"max_norm": 1e-3}, **given
    )
    assert loss == same_loss  # the first batch has all data
    assert 0 < moved(start, clipped) < moved(start, free)
    if model != "WhisperLitePlus":  # which has weight decay, that is not clipped
        # learning rate x largest norm bounds each step, and there is one
        pairs = list(zip(start.parameters(), clipped.parameters()))
        norm = sum(((a - b) ** 2).sum() for a, b in pairs).sqrt().item()
        assert norm == pytest.approx(0.1 * 1e-3, rel=0.01)
    decayed, _ = trained(prepare, model, tiny, weight_decay=1.0, **given)
    assert moved(free, decayed) > 0


@OURS_AND_BPR
@pytest.mark.parametrize("learner", ["adam", "adamw", "adagrad", "rmsprop", "sgd"])
def test_every_learner_trains(model, learner, tiny, prepare):
    start = trained(prepare, model, tiny, learning_rate=0)[0]
    after, loss = trained(prepare, model, tiny, learner=learner, learning_rate=0.1)
    assert np.isfinite(loss) and moved(start, after) > 0


@OURS_AND_BPR
def test_sparse_adam_needs_sparse_gradients(model, tiny, prepare):
    with pytest.raises(UserError, match="those of .* are dense. Set learner to adam"):
        trained(prepare, model, tiny, learner="sparse_adam")


@OURS_AND_BPR
def test_mixed_precision_on_the_cpu_trains_in_bfloat16(model, tiny, prepare):
    _, exact = trained(prepare, model, tiny)
    _, mixed = trained(prepare, model, tiny, enable_amp=True)
    assert mixed == pytest.approx(exact, rel=0.05)
    if model == "BPR":  # inner products written out are no matrix product
        assert mixed == exact
    else:
        assert mixed != exact


@pytest.mark.filterwarnings("ignore:.*GradScaler:UserWarning")
@OURS_AND_BPR
def test_the_scaler_does_nothing_on_the_cpu(model, tiny, prepare):
    exact = trained(prepare, model, tiny)
    scaled = trained(prepare, model, tiny, enable_scaler=True)
    assert scaled[1] == exact[1] and moved(exact[0], scaled[0]) == 0


@pytest.mark.parametrize(
    "given, told",
    [
        ({"clip_grad_norm": 5}, "must be a dict such as {'max_norm': 5"),
        ({"clip_grad_norm": {"max": 5}}, "It may have max_norm, norm_type"),
        ({"clip_grad_norm": {"max_norm": -1.0}}, "numbers above 0"),
        ({"clip_grad_norm": {"norm_type": 2}}, "must be a dict such as"),
        (
            {"clip_grad_norm": {"max_norm": 1}, "enable_scaler": True},
            "exclude each other",
        ),
        ({"learner": "lion"}, "it must be adam, adamw"),
        ({"valid_metric": "Violation@5", "metrics": ["Violation"]}, "topk is"),
    ],
)
@OURS_AND_BPR
def test_what_the_trainer_cannot_take_is_refused(model, given, told, tiny):
    settings = {"data_path": str(tiny), "topk": [3], "valid_metric": "NDCG@3", **given}
    with pytest.raises(UserError, match=told):
        Config(model, "tiny", config_dict=settings)


def test_a_tuple_of_k_is_a_list(tiny):
    given = {"data_path": str(tiny), "topk": (1, 3), "valid_metric": "NDCG@3"}
    assert Config("BPR", "tiny", config_dict=given)["topk"] == [1, 3]


@pytest.mark.parametrize("written", ["None", "none", None])
def test_no_group_is_written_as_recbole_reads_it(written, tiny):
    given = {"data_path": str(tiny), "eval_args": {"group_by": written}}
    config = Config("BPR", "tiny", config_dict=given)
    assert config["eval_args"]["group_by"] in ("none", None)


# --- negatives and labels ------------------------------------------------------------


@pytest.mark.parametrize(
    "model, told",
    [("BPR", "learns from pairs"), ("NeuMF", "NeuMF learns from labels, but 'tiny'")],
)
def test_a_model_without_its_negatives_says_what_to_set(model, told, tiny, prepare):
    with pytest.raises(UserError, match=told):
        trained(prepare, model, tiny, train_neg_sample_args=None)


# --- parts in files of their own -----------------------------------------------------

TEST, VALID = ("r4", "r7", "r10", "r12"), ("r3", "r6", "r9")


@pytest.fixture
def parts(tmp_path):
    """The split of the dozen requests, written as three files."""
    home, types = tmp_path / "tiny" / "tiny", ["token", "token", "token", "float"]
    write_tiny(tmp_path)
    (tmp_path / "tiny" / "tiny.inter").rename(tmp_path / "whole")
    columns = dict(zip(["user_id", "item_id", "request_id", "timestamp"], types))
    for name, rows in {
        "train": [c for c in CHOICES if c[2] not in TEST + VALID],
        "valid": [c for c in CHOICES if c[2] in VALID],
        "test": [c for c in CHOICES if c[2] in TEST],
    }.items():
        write_atomic(home.with_suffix(f".{name}.inter"), columns, rows)
    return tmp_path


@OURS_AND_BPR
def test_parts_in_files_are_the_split_that_they_hold(model, parts, prepare):
    given = {"benchmark_filename": ["train", "valid", "test"], "encoder": "tfidf"}
    _, _, loaders = prepare(model, parts, **given)
    (parts / "whole").rename(parts / "tiny" / "tiny.inter")
    _, _, split = prepare(model, parts, encoder="tfidf")
    assert loaders[2].fingerprint == split[2].fingerprint
    assert loaders[1].fingerprint == split[1].fingerprint
    assert len(loaders[0]._dataset) == len(split[0]._dataset) == 6


@pytest.mark.parametrize(
    "names, told",
    [
        ("train", "must be a list of three names"),
        (["train", "test"], "must be a list of three names"),
        (["train", "valid", "tset"], "tiny.tset.inter: this file does not exist"),
    ],
)
def test_parts_that_are_not_three_files_are_refused(names, told, parts, prepare):
    with pytest.raises(UserError, match=told):
        prepare("BPR", parts, benchmark_filename=names)


# --- knowledge-aware models ----------------------------------------------------------


@pytest.fixture
def linked(tiny):
    """The dozen requests with a knowledge graph: each thing is of one of three kinds."""
    home = tiny / "tiny" / "tiny"
    links = [(f"i{n}", f"e{n}") for n in range(1, 10)]
    write_atomic(
        home.with_suffix(".link"), {"item_id": "token", "entity_id": "token"}, links
    )
    columns = {name: "token" for name in ("head_id", "relation_id", "tail_id")}
    triples = [(f"e{n}", "kind", f"k{n % 3}") for n in range(1, 10)]
    write_atomic(home.with_suffix(".kg"), columns, triples)
    return tiny


def test_a_knowledge_aware_model_trains_on_requests(linked):
    given = {**SETTINGS, "data_path": str(linked)}
    given["metrics"] = ["NDCG", "ItemCoverage"]  # which counts over the training part
    result = run_recbole("CKE", "tiny", config_dict=given)["test_result"]
    assert 0 < result["itemcoverage@3"] < 1
    with pytest.raises(UserError, match="Set save_dataset instead of save_datal"):
        run_recbole("CKE", "tiny", config_dict={**given, "save_dataloaders": True})


# --- libraries and scripts beside RecBole --------------------------------------------

LIBRARY = """
    from recbole.config import Config as RecBolesConfig
    from recbole.model.general_recommender import BPR

    class TheirModel(BPR):
        pass

    class Config(RecBolesConfig):
        def _get_model_and_dataset(self, model, dataset):
            return "TheirModel", TheirModel, dataset

        def _load_internal_config_dict(self, model, model_class, dataset):
            super()._load_internal_config_dict(model, model_class, dataset)
            self.internal_config_dict["their_setting"] = 1

    def depth(config):
        return config["enable_depth"]
"""


@pytest.fixture
def library(write_module, monkeypatch):
    """A package that has a Config of its own, as RecBole-GNN does."""
    monkeypatch.syspath_prepend(str(Path.cwd()))
    write_module("theirs.__init__", "")
    write_module("theirs.config", textwrap.dedent(LIBRARY))
    from theirs import config

    return config


def test_a_library_may_have_settings_and_checkpoints_of_its_own(library, tiny):
    given = {**SETTINGS, "data_path": str(tiny), "enable_depth": True}
    config = library.Config("TheirModel", "tiny", config_dict=given)
    assert config["enable_depth"] is True and config["their_setting"] == 1
    with pytest.raises(UserError, match="no setting 'enable_dept'"):
        wrong = {"data_path": str(tiny), "enable_dept": True}
        library.Config("TheirModel", "tiny", config_dict=wrong)


def test_a_checkpoint_of_a_librarys_config_is_read(library, tiny, prepare):
    from recbole.trainer import Trainer

    _, _, (train, _, _) = prepare("BPR", tiny)
    config = library.Config("TheirModel", "tiny", config_dict={"data_path": str(tiny)})
    trainer = Trainer(config, library.TheirModel(config, train.dataset))
    weight = trainer.model.user_embedding.weight
    trainer._save_checkpoint(3, verbose=False)
    before = weight.detach().clone()
    torch.nn.init.zeros_(weight)
    trainer.resume_checkpoint(trainer.saved_model_file)
    assert torch.equal(weight, before) and trainer.start_epoch == 4


def test_a_dataset_that_splits_in_its_own_way_is_refused_with_requests(tiny, prepare):
    class Sessions(Dataset):
        def build(self):
            return super().build()

    config, _, _ = prepare("BPR", tiny)
    with pytest.raises(
        UserError, match="Sessions builds the parts of a dataset in its"
    ):
        Sessions(config)


def test_flags_of_recboles_scripts_are_no_misspelt_settings(tiny, monkeypatch):
    flags = [f"--{name}=1" for name in SCRIPT_FLAGS]
    monkeypatch.setattr(sys, "argv", ["run_hyper.py", *flags])
    Config("WhisperLite", "tiny", config_dict={"data_path": str(tiny)})
    monkeypatch.setattr(sys, "argv", ["run_recbole.py", "--display_file=1"])
    with pytest.raises(UserError, match="no setting 'display_file'"):
        Config("WhisperLite", "tiny", config_dict={"data_path": str(tiny)})


@pytest.mark.parametrize("model", ["LightGCN", "NGCF", "SGL", "SimGCL", "NCL"])
def test_recbole_gnns_models_rank_the_same_requests(model, tiny):
    quick_start = pytest.importorskip(
        "recbole_gnn.quick_start", reason="RecBole-GNN and torch-geometric are absent"
    )
    given = {**SETTINGS, "data_path": str(tiny), "warm_up_step": 0, "num_clusters": 2}
    result = quick_start.run_recbole_gnn(model, "tiny", config_dict=given)
    assert 0 <= result["test_result"]["ndcg@3"] <= 1


def test_a_loaded_model_is_evaluated_by_metrics_of_the_catalogue(tiny):
    given = {**SETTINGS, "data_path": str(tiny), "metrics": ["NDCG", "TailPercentage"]}
    result = run_recbole("BPR", "tiny", config_dict=given)["test_result"]
    [file] = Path("saved").glob("BPR-*.pth")
    config, model, _, train, _, test = load_data_and_model(str(file))
    trainer = get_trainer(config["MODEL_TYPE"], "BPR")(config, model)
    trainer.eval_collector.data_collect(train)
    assert dict(trainer.evaluate(test, load_best_model=False)) == dict(result)
