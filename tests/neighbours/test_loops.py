"""A loop over models in one process, as RecBole's own scripts make it.

Each run has a log, curves and a run of Weights & Biases of its own.
"""

import logging
import sys
import types
from pathlib import Path

import pytest
from recbole.config import Config
from recbole.quick_start import run, run_recbole
from recbole.utils import get_tensorboard, init_logger, list_to_latex
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import write_tiny

MODELS = "WhisperLite", "BPR", "LateFusion"
SETTINGS = {
    "epochs": 2,
    "topk": [3],
    "valid_metric": "NDCG@3",
    "encoder": "tfidf",
    "show_progress": False,
    "fusion_models": ["RequestPop", "Pop"],
    "log_wandb": True,
}


class Wandb(types.ModuleType):
    """Stands in for wandb: one run at a time, which is a dict of what was sent."""

    def __init__(self):
        super().__init__("wandb")
        self.run, self.runs = None, []

    def init(self, project, config):
        self.run = types.SimpleNamespace(
            settings=dict(vars(config)), logged=[], summary={}, is_finished=False
        )
        self.runs.append(self.run)

    def finish(self):
        self.run.is_finished, self.run = True, None

    def log(self, metrics, commit):
        self.run.logged.append(metrics)

    def define_metric(self, name, step_metric):
        pass


@pytest.fixture(scope="module")
def looped(tmp_path_factory):
    """Three models in a loop: (folder, {model: result}, wandb)."""
    folder, wandb = write_tiny(tmp_path_factory.mktemp("loop")), Wandb()
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.handlers[:] = []  # pytest's own, with which RecBole would add none
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["loop.py", "--run_times=3", "--display_file=x"])
        patch.setitem(sys.modules, "wandb", wandb)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        given = {**SETTINGS, "data_path": str(folder)}
        results = {name: run(name, "tiny", config_dict=given) for name in MODELS}
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.setLevel(level)
    root.handlers[:] = handlers
    return folder, results, wandb


def curves_of(folder, run):
    """Return {name: values} of the curves in a run's folder."""
    events = EventAccumulator(str(folder / "log_tensorboard" / run)).Reload()
    return {
        name: [event.value for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_each_model_has_a_log_of_its_own(looped):
    folder, results, _ = looped
    for model in MODELS:
        [file] = (folder / "log" / model).glob("*.log")
        said = file.read_text()
        assert f"{model}(\n" in said  # RecBole prints the model
        assert f"test result: {results[model]['test_result']}" in said
        others = set(MODELS) - {model}
        assert not any(f"{other}(\n" in said for other in others)


def test_each_model_has_curves_of_its_own(looped):
    folder, results, wandb = looped
    for model in ("WhisperLite", "BPR"):
        [log] = (folder / "log" / model).glob("*.log")
        curves = curves_of(folder, log.stem)
        assert len(curves["Loss/Train"]) == len(curves["Vaild_score"]) == 2
        best = results[model]["best_valid_score"]
        assert max(curves["Vaild_score"]) == pytest.approx(best)
        logged = wandb.runs[MODELS.index(model)].logged
        losses = [each["train/train_loss"] for each in logged if "train_step" in each]
        assert curves["Loss/Train"] == pytest.approx(losses)


def test_each_model_has_a_run_of_weights_and_biases(looped):
    _, results, wandb = looped
    # LateFusion's parts have none
    names = [run.settings["final_config_dict"]["model"] for run in wandb.runs]
    assert names == list(MODELS)
    assert [run.is_finished for run in wandb.runs] == [True, True, False]
    for run_of, result in zip(wandb.runs, results.values()):
        tested = {f"eval/{name}": v for name, v in result["test_result"].items()}
        assert run_of.summary == tested  # the latest evaluation is the test's
        best = max(each.get("valid/ndcg@3", 0) for each in run_of.logged)
        assert best == result["best_valid_score"]


def test_weights_and_biases_get_settings_and_nothing_of_the_data(looped):
    for run_of in looped[2].runs:
        assert run_of.settings["final_config_dict"]["epochs"] == 2
        assert "trained_on" not in run_of.settings
        assert "i9" not in str(run_of.settings)  # an item that nobody took


def test_a_run_that_the_user_began_is_used(tiny, monkeypatch):
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    wandb.init("sweep", types.SimpleNamespace(mine=1))
    given = {**SETTINGS, "data_path": str(tiny), "epochs": 1, "state": "ERROR"}
    for model in ("RequestPop", "Pop"):
        run_recbole(model, "tiny", config_dict=given)
    [mine] = wandb.runs
    assert mine is wandb.run and mine.settings == {"mine": 1}
    assert sum("valid/ndcg@3" in each for each in mine.logged) == 2


def test_without_weights_and_biases_it_is_said_what_to_install(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    given = {**SETTINGS, "data_path": str(tiny), "state": "ERROR"}
    with pytest.raises(ImportError, match="pip install wandb"):
        run_recbole("Pop", "tiny", config_dict=given)


def test_the_results_of_a_loop_become_a_table(looped):
    rows = [{"Model": name, **of["test_result"]} for name, of in looped[1].items()]
    frame, tex = list_to_latex(rows, subset_columns=list(rows[0])[1:])
    assert frame["Model"].tolist() == list(MODELS)
    for row in rows:
        assert f"{row['ndcg@3']:.4f}" in tex


def test_two_trainers_of_one_log_have_two_folders_of_curves(tmp_path):
    log = logging.Logger("shared")
    log.addHandler(logging.FileHandler(tmp_path / "Mine-1.log"))
    for name in ("Mine-1", "Mine-1-2", "Mine-1-3"):
        writer = get_tensorboard(log)
        writer.close()
        assert Path(writer.log_dir) == Path("log_tensorboard") / name
    log.handlers[0].close()


def test_handlers_of_the_users_own_stay(tiny):
    root, mine = logging.getLogger(), logging.NullHandler()
    root.handlers[:] = []
    config = Config("BPR", "tiny", config_dict={"data_path": str(tiny)})
    init_logger(config)
    first = list(root.handlers)
    root.addHandler(mine)
    init_logger(config)
    # those of the first run have ended, and RecBole adds none where there are any
    assert len(first) == 2 and root.handlers == [mine]
