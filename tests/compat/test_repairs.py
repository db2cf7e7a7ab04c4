import io
import logging
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import types
from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import recbole
import recbole.trainer.trainer
import recbole.utils.utils
import scipy.sparse as sp
import torch
import yaml
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.model.general_recommender import BPR, LightGCN
from recbole.quick_start import load_data_and_model, quick_start, run
from recbole.trainer import HyperTuning, Trainer
from recbole.utils import ModelType, get_tensorboard, init_logger, init_seed

from recbole_whisperlite.compat import repairs as compat
from recbole_whisperlite.compat.checkpoint import _DataUnpickler, load_checkpoint
from recbole_whisperlite.errors import UserError

TORCH = tuple(map(int, torch.__version__.split(".")[:2]))

needs_torch_2_6 = pytest.mark.skipif(
    TORCH < (2, 6), reason="this torch reads any pickle by default"
)
needs_numpy_2 = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="numpy 1 has these names"
)


def settings(folder, **more):
    """Write 12 users who took 4 of 10 items each; return RecBole settings for them."""
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    lines += [f"u{u}\ti{(3 * u + k) % 10}\t{k}" for u in range(12) for k in range(4)]
    (folder / "dozen").mkdir(exist_ok=True)
    (folder / "dozen" / "dozen.inter").write_text("\n".join(lines) + "\n")
    return {
        "data_path": str(folder),
        "epochs": 1,
        "topk": [3],
        "valid_metric": "NDCG@3",
        "state": "ERROR",
        "show_progress": False,
        **more,
    }


@pytest.fixture
def trained(tmp_path):
    """A trainer of BPR after an epoch, its test data and its checkpoint's path."""
    config = Config("BPR", "dozen", config_dict=settings(tmp_path))
    train, valid, test = data_preparation(config, create_dataset(config))
    trainer = Trainer(config, BPR(config, train.dataset))
    trainer.fit(train, valid)
    return trainer, test, trainer.saved_model_file


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return str(probe.getsockname()[1])


# --- the list of repairs -------------------------------------------------------------


def test_applying_twice_changes_nothing():
    before = (compat.status(), Trainer.evaluate, Config._init_device, torch.load)
    compat.apply()
    assert (
        compat.status(),
        Trainer.evaluate,
        Config._init_device,
        torch.load,
    ) == before


def test_every_repair_was_looked_at():
    assert len({repair.name for repair in compat.REPAIRS}) == len(compat.REPAIRS)
    assert all(active is not None for _, active in compat.status())


def test_a_repair_that_is_not_needed_is_not_made(monkeypatch):
    made = []
    asked = [
        compat.Repair(name="needed", symptom="", fix=lambda: made.append("needed")),
        compat.Repair(
            name="fine",
            symptom="",
            needed=lambda: False,
            fix=lambda: made.append("fine"),
        ),
    ]
    monkeypatch.setattr(compat, "REPAIRS", asked)
    monkeypatch.setattr(compat, "_applied", {})
    compat.apply()
    assert made == ["needed"]
    assert compat.status() == [(asked[0], True), (asked[1], False)]


def test_pandas_3_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(pd, "__version__", "3.0.1")
    with pytest.raises(UserError, match=r'pandas 3\.0\.1.*pip install "pandas<3"'):
        compat.apply()


@pytest.mark.parametrize(
    "absent, present, remedy",
    [
        ("pkg_resources", "ray", 'pip install "setuptools<81"'),
        ("recbole", "ray", '"recbole>=1.2.1,<1.3"'),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(monkeypatch, absent, present, remedy):
    spec = {absent: None, present: object()}
    find = compat.importlib.util.find_spec
    monkeypatch.setattr(
        compat.importlib.util,
        "find_spec",
        lambda name: spec[name] if name in spec else find(name),
    )
    with pytest.raises(UserError, match=re.escape(remedy)):
        compat.apply()


# --- numpy, scipy --------------------------------------------------------------------


@needs_numpy_2
def test_recbole_config_needs_the_numpy_names(monkeypatch):
    for name in ("bool8", "float_", "complex_", "unicode_"):
        monkeypatch.delattr(np, name)
    with pytest.raises(AttributeError, match="float_"):
        Config.compatibility_settings(None)
    assert compat.REPAIRS[0].needed()
    compat._add_numpy_aliases()
    assert not compat.REPAIRS[0].needed()
    Config.compatibility_settings(None)
    assert np.float_ is np.float64 and np.bool8 is np.bool_


def test_numpy_names_that_exist_are_left_alone(monkeypatch):
    monkeypatch.setattr(np, "float_", "theirs", raising=False)
    compat._add_numpy_aliases()
    assert np.float_ == "theirs"


def test_lightgcn_gets_the_matrix_of_its_formula(monkeypatch):
    users, items = [0, 0, 1, 2], [0, 1, 1, 2]
    graph = types.SimpleNamespace(
        n_users=3,
        n_items=4,
        interaction_matrix=sp.coo_matrix((np.ones(4), (users, items)), shape=(3, 4)),
    )
    active = {repair.name: active for repair, active in compat.status()}
    if active["scipy dok_matrix._update"]:
        monkeypatch.delattr(sp.dok_matrix, "_update")
        with pytest.raises(AttributeError, match="_update"):
            LightGCN.get_norm_adj_mat(graph)
        assert compat._lacks_dok_update()
        compat._give_back_dok_update()
        assert not compat._lacks_dok_update()

    # D^-1/2 A D^-1/2 with A = [[0, R], [R', 0]], in dense arithmetic
    adjacency = np.zeros((7, 7))
    for user, item in zip(users, items):
        adjacency[user, 3 + item] = adjacency[3 + item, user] = 1
    scale = (adjacency.sum(axis=1) + 1e-7) ** -0.5
    expected = scale[:, None] * adjacency * scale[None, :]
    found = LightGCN.get_norm_adj_mat(graph).to_dense().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# --- ray and hyperopt ----------------------------------------------------------------

WITHOUT_RAY = """
import importlib.machinery, importlib.util, sys
find = importlib.machinery.PathFinder.find_spec
hidden = ("ray", "hyperopt")
importlib.machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, *args: None if name in hidden else find(name, *args)
)

import recbole_whisperlite.compat.repairs as compat
from recbole.quick_start import objective_function, quick_start

assert "ray" not in sys.modules and importlib.util.find_spec("ray") is None
assert dict((r.name, a) for r, a in compat.status())["ray absent"] is True
result = objective_function(SETTINGS, saved=False)
print("TRAINED", sorted(result))
try:
    quick_start.tune.run(objective_function)
except compat.UserError as error:
    print("REFUSED", error)
compat.apply()
print("APPLIED TWICE")
"""


def test_without_ray_everything_but_tuning_with_ray_works(tmp_path):
    asked = settings(tmp_path, model="BPR", dataset="dozen")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RAY.replace("SETTINGS", repr(asked))],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert "TRAINED ['best_valid_result', 'best_valid_score', 'model'" in done.stdout
    assert "REFUSED ray.tune.run needs ray, which is not installed" in done.stdout
    assert 'pip install "ray[tune]<=2.6.3"' in done.stdout
    assert "APPLIED TWICE" in done.stdout


def test_hypertuning_without_hyperopt_says_what_to_install(monkeypatch):
    monkeypatch.setattr(HyperTuning, "__init__", HyperTuning.__init__)  # for undoing
    compat._say_hyperopt_is_absent()
    with pytest.raises(UserError, match="pip install hyperopt"):
        HyperTuning(quick_start.objective_function, params_dict={})


@pytest.mark.parametrize("algo", ["exhaustive", "random"])
def test_hypertuning_with_hyperopt_tries_what_it_is_asked_to(algo, tmp_path):
    pytest.importorskip("hyperopt")
    (tmp_path / "fixed.yaml").write_text(
        yaml.safe_dump(settings(tmp_path, model="BPR", dataset="dozen"))
    )
    tuning = HyperTuning(
        quick_start.objective_function,
        params_dict={"choice": {"embedding_size": [4, 8]}},
        fixed_config_file_list=["fixed.yaml"],
        algo=algo,
        max_evals=2,
    )
    tuning.run()
    tried = {"embedding_size:4", "embedding_size:8"}
    assert set(tuning.params2result) <= tried
    if algo == "exhaustive":
        assert set(tuning.params2result) == tried
    assert tuning.best_params["embedding_size"] in (4, 8)


# --- torch.load ----------------------------------------------------------------------


@needs_torch_2_6
def test_the_best_model_is_read_back_only_with_the_repair(trained, monkeypatch):
    trainer, test, _ = trained
    result = trainer.evaluate(test, load_best_model=True)
    assert 0 <= result["ndcg@3"] <= 1
    monkeypatch.setattr(recbole.trainer.trainer, "torch", torch)
    with pytest.raises(pickle.UnpicklingError, match="[Ww]eights"):
        trainer.evaluate(test, load_best_model=True)


def test_a_checkpoint_is_read_as_it_was_saved(trained):
    trainer, _, file = trained
    read = load_checkpoint(file)
    assert read["config"].final_config_dict == trainer.config.final_config_dict
    assert read["config"]["MODEL_TYPE"] is ModelType.GENERAL
    assert read["config"].model_class is BPR
    assert read["best_valid_score"] == trainer.best_valid_score
    for name, weights in trainer.model.state_dict().items():
        assert torch.equal(read["state_dict"][name], weights)
    assert (
        read["optimizer"]["state"].keys()
        == trainer.optimizer.state_dict()["state"].keys()
    )


def test_training_resumes_from_a_checkpoint(trained):
    trainer, _, file = trained
    again = Trainer(trainer.config, trainer.model)
    again.resume_checkpoint(file)
    assert again.start_epoch == 1


@needs_torch_2_6
def test_data_and_model_are_loaded_and_torch_load_is_as_before(trained):
    trainer, _, file = trained
    before = torch.load
    _, model, dataset, *_ = load_data_and_model(file)
    assert torch.load is before
    assert dataset.user_num == 13
    assert torch.equal(model.user_embedding.weight, trainer.model.user_embedding.weight)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file)


@needs_torch_2_6
def test_torch_load_is_restored_after_an_error(tmp_path):
    before = torch.load
    with pytest.raises(FileNotFoundError):
        load_data_and_model(str(tmp_path / "absent.pth"))
    assert torch.load is before


@needs_torch_2_6
def test_other_code_has_the_usual_torch_load_while_recbole_loads(trained, monkeypatch):
    _, _, file = trained
    seen = []
    create = quick_start.create_dataset

    def code_of_the_user(config):
        with pytest.raises(pickle.UnpicklingError):
            torch.load(file)
        seen.append("refused")
        return create(config)

    monkeypatch.setattr(quick_start, "create_dataset", code_of_the_user)
    load_data_and_model(file)
    assert seen == ["refused"]


@needs_torch_2_6
def test_other_threads_have_the_usual_torch_load_before_recbole_loads(trained):
    _, _, file = trained
    seen = []

    def of_another_thread():
        with pytest.raises(pickle.UnpicklingError):
            torch.load(file)
        seen.append("refused")

    def of_recbole():
        thread = threading.Thread(target=of_another_thread)
        thread.start()
        thread.join()
        return torch.load(file)

    assert compat._with_first_load(of_recbole, load_checkpoint)()["epoch"] == 0
    assert seen == ["refused"]


@needs_torch_2_6
def test_every_torch_load_in_recbole_is_repaired():
    root = Path(recbole.__file__).parent
    modules = {
        ".".join(["recbole", *file.relative_to(root).with_suffix("").parts])
        for file in root.rglob("*.py")
        if "torch.load(" in file.read_text(encoding="utf-8")
    }
    assert modules - {"recbole.quick_start.quick_start"} == set(
        compat._MODULES_THAT_LOAD
    )
    for name in compat._MODULES_THAT_LOAD:
        assert sys.modules[name].torch.load is load_checkpoint
        assert sys.modules[name].torch.nn is torch.nn


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


class Fills(Calls):
    """An object whose pickle changes what a function returns."""

    def __init__(self, state, function, *arguments):
        self.reduced = function, arguments, state


MARKER = "Path('marker').touch()"
OVERLAID = (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)
EVIL = {
    "a shell command": Calls(os.system, "touch marker"),
    "eval": Calls(eval, f"__import__('pathlib').{MARKER}"),
    "exec": Calls(exec, f"from pathlib import Path; {MARKER}"),
    "a process": Calls(subprocess.Popen, ["touch", "marker"]),
    "a module": Calls(__import__, "os"),
    "an attribute": Calls(getattr, BPR, "forward"),
    "Config, which evaluates": Calls(
        Config, "BPR", "x", None, {"x": f"__import__('pathlib').{MARKER}"}
    ),
    "a class of RecBole's": Calls(Interaction, {}),
    "a torch.load of its own": Calls(torch.load, "file"),
    "a module's class, as data": Calls(list, [subprocess.Popen]),
    "a file of numpy's": Calls(np.memmap, "marker", "uint8", "w+"),
    "memory as pointers": Calls(np.ndarray, (1,), np.dtype("O"), bytearray(8)),
    "a structure over pointers": Fills(OVERLAID, np.dtype, "V8"),
    "a changed class": Fills({"x": 1}, list, [BPR]),
}


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_is_more_than_data_is_refused(name, zipped, tmp_path):
    torch.save(
        {"state_dict": EVIL[name]},
        "evil.pth",
        pickle_protocol=4,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(UserError, match="evil.pth .* not part of a RecBole checkpoint"):
        load_checkpoint("evil.pth")
    assert not Path("marker").exists()


def test_recbole_itself_refuses_such_a_file(trained):
    trainer, test, _ = trained
    torch.save({"state_dict": EVIL["a shell command"]}, "evil.pth", pickle_protocol=4)
    with pytest.raises(UserError, match="names posix.system"):
        trainer.evaluate(test, model_file="evil.pth")
    with pytest.raises(UserError, match="names posix.system"):
        load_data_and_model("evil.pth")
    assert not Path("marker").exists()


CONFIG = b"crecbole.config.configurator\nConfig\n"


@pytest.mark.parametrize(
    "asks_for_a_call",
    [
        CONFIG + b"(I1\nt\x81.",  # NEWOBJ with an argument
        CONFIG + b")}\x92.",  # NEWOBJ_EX
        b"(irecbole.config.configurator\nConfig\n.",  # INST
        b"(" + CONFIG + b"o.",  # OBJ
        b"ccollections\nOrderedDict\n)\x81.",  # NEWOBJ of what is called as a rule
    ],
)
def test_no_other_way_of_calling_is_open(asks_for_a_call):
    with pytest.raises(UserError, match="makes"):
        _DataUnpickler(io.BytesIO(asks_for_a_call)).load()


def test_a_name_cannot_lead_through_a_module_of_recbole():
    for module, name in [
        ("recbole.config.configurator", "os"),
        ("recbole.config.configurator", "os.system"),
        ("recbole.config.configurator", "Config.__init__"),
        ("recbole.model.layers", "fn"),
        ("recbole.quick_start.quick_start", "run"),
    ]:
        text = b"".join(
            b"\x8c" + bytes([len(word)]) + word.encode() for word in (module, name)
        )
        with pytest.raises(UserError, match=f"names {module}.{name}"):
            _DataUnpickler(io.BytesIO(b"\x80\x04" + text + b"\x93.")).load()


def test_a_torchscript_program_is_refused():
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), "program.pth")
    with pytest.raises(UserError, match="TorchScript"):
        load_checkpoint("program.pth")


class Colour(Enum):
    RED = 1


def test_arrays_matrices_and_enums_come_back_equal():
    saved = {
        "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
        "tokens": np.array(["[PAD]", "a", "bc"]),
        "objects": np.array([None, "a"], dtype=object),
        "matrix": np.matrix([[1, 2]]),
        "scalar": np.float64(0.5),
        "sparse": sp.csr_matrix(np.eye(3)),
        "kind": ModelType.SEQUENTIAL,
        "path": Path("some") / "folder",
        "texts": pd.DataFrame({"title": ["a", "b"], "n": [1, 2]}, index=["i1", "i2"]),
        "layer": torch.nn.Linear(2, 1),
    }
    torch.save(saved, "arrays.pth", pickle_protocol=4)
    read = load_checkpoint("arrays.pth")
    for name in ("floats", "tokens", "objects", "matrix"):
        assert type(read[name]) is type(saved[name])
        assert read[name].dtype == saved[name].dtype
        assert (read[name] == saved[name]).all()
    assert read["scalar"] == 0.5
    assert (read["sparse"] != saved["sparse"]).nnz == 0
    assert read["kind"] is ModelType.SEQUENTIAL
    assert read["path"] == Path("some/folder")
    pd.testing.assert_frame_equal(read["texts"], saved["texts"])
    ones = torch.ones(1, 2)
    assert torch.equal(read["layer"](ones), saved["layer"](ones))

    torch.save({"kind": Colour.RED}, "foreign.pth", pickle_protocol=4)
    with pytest.raises(UserError, match="Colour"):
        load_checkpoint("foreign.pth")


# --- files of one run ----------------------------------------------------------------


@pytest.fixture
def frozen_clock(monkeypatch):
    """It is 09:08:07 on 5 March 2026, for all that RecBole names by the time."""
    from datetime import datetime

    clock = types.SimpleNamespace(now=lambda: datetime(2026, 3, 5, 9, 8, 7))
    monkeypatch.setattr(
        recbole.utils.utils, "datetime", types.SimpleNamespace(datetime=clock)
    )
    return "Mar-05-2026_09-08-07"


def test_runs_of_one_second_with_one_seed_have_their_own_checkpoints(
    tmp_path, frozen_clock
):
    config = Config("BPR", "dozen", config_dict=settings(tmp_path))
    train, _, _ = data_preparation(config, create_dataset(config))
    files = []
    for embedding in (0.5, -2.0):
        init_seed(config["seed"], config["reproducibility"])
        trainer = Trainer(config, BPR(config, train.dataset))
        torch.nn.init.constant_(trainer.model.user_embedding.weight, embedding)
        trainer._save_checkpoint(0, verbose=False)
        files.append(Path(trainer.saved_model_file))
    assert sorted(files) == sorted(Path("saved").glob(f"BPR-{frozen_clock}-*.pth"))
    assert len(set(files)) == 2
    for file, embedding in zip(files, (0.5, -2.0)):
        weight = load_checkpoint(file)["state_dict"]["user_embedding.weight"]
        assert (weight == embedding).all()


def test_tree_models_of_one_second_have_their_own_files(tmp_path, frozen_clock):
    from recbole.trainer.trainer import DecisionTreeTrainer

    config = Config("BPR", "dozen", config_dict=settings(tmp_path))
    config["convert_token_to_onehot"] = False
    both = [DecisionTreeTrainer(config, None) for _ in range(2)]
    for name in ("saved_model_file", "temp_file", "temp_best_file"):
        one, other = (getattr(trainer, name) for trainer in both)
        assert one != other
        assert Path(one).match(f"saved/BPR-{frozen_clock}-*.pth")


def test_runs_of_one_second_have_their_own_logs_and_curves(tmp_path, frozen_clock):
    config = Config("BPR", "dozen", config_dict=settings(tmp_path))
    for _ in range(2):
        init_logger(config)
    assert len(list(Path("log/BPR").glob(f"BPR-dozen-{frozen_clock}-*.log"))) == 2
    # without a log file the folder is named by the time, too
    for _ in range(2):
        get_tensorboard(logging.Logger("nowhere")).close()
    folders = list(Path("log_tensorboard").glob(f"model-{frozen_clock}-*"))
    assert len(folders) == 2


def test_the_time_itself_stays_the_time(frozen_clock):
    assert recbole.utils.get_local_time() == frozen_clock


# --- several processes ---------------------------------------------------------------


@pytest.fixture
def one_of_one(tmp_path):
    """The config of the only process of a group."""
    config = Config(
        "BPR",
        "dozen",
        config_dict=settings(
            tmp_path,
            local_rank=0,
            world_size=1,
            nproc=1,
            offset=0,
            ip="localhost",
            port=free_port(),
            use_gpu=False,
            gpu_id="",
        ),
    )
    yield config
    torch.distributed.destroy_process_group()


def test_on_the_cpu_processes_join_through_gloo(one_of_one):
    assert torch.distributed.get_backend() == "gloo"
    assert one_of_one["device"] == torch.device("cpu")
    assert one_of_one["single_spec"] is False

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    trainer = types.SimpleNamespace()
    recbole.trainer.trainer.AbstractTrainer.__init__(trainer, one_of_one, model)
    trainer.distributed_model(torch.ones(3, 2)).sum().backward()
    assert model[0].weight.grad is not None
    # without the repair: GPU numbers, and a batch norm that runs on GPUs only
    with pytest.raises(ValueError, match="device_ids"):
        recbole.trainer.trainer.AbstractTrainer.__init__.__wrapped__(
            trainer, one_of_one, model
        )


def test_without_the_repair_several_processes_need_gpus():
    asked = {"gpu_id": "0", "local_rank": 0, "nproc": 2}
    with pytest.raises(AssertionError):
        Config._init_device.__wrapped__(types.SimpleNamespace(final_config_dict=asked))


def test_fewer_gpus_than_processes_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # which RecBole sets
    asked = {"gpu_id": "0", "local_rank": 0, "nproc": 2}
    with pytest.raises(UserError, match="nproc is 2, but gpu_id is '0'"):
        Config._init_device(types.SimpleNamespace(final_config_dict=asked))


def test_a_folder_that_another_process_just_made_is_fine(tmp_path, monkeypatch):
    import recbole.utils.logger

    ensure_dir = recbole.utils.logger.ensure_dir
    ensure_dir(tmp_path / "log" / "BPR")
    assert (tmp_path / "log" / "BPR").is_dir()
    # between the look and the deed
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    ensure_dir(tmp_path / "log" / "BPR")
    with pytest.raises(FileExistsError):
        ensure_dir.__wrapped__(tmp_path / "log" / "BPR")


def test_all_processes_use_the_first_ones_checkpoint(one_of_one, monkeypatch):
    dataset = create_dataset(one_of_one)
    train, valid, test = data_preparation(one_of_one, dataset)
    done = []
    monkeypatch.setattr(
        torch.distributed,
        "broadcast_object_list",
        lambda objects, src: objects.__setitem__(0, f"saved/of-{src}.pth"),
    )
    monkeypatch.setattr(torch.distributed, "barrier", lambda: done.append("waited"))
    trainer = Trainer(one_of_one, BPR(one_of_one, train.dataset))
    assert trainer.saved_model_file == "saved/of-0.pth"
    trainer._save_checkpoint(0, verbose=False)
    trainer.evaluate(test, load_best_model=False)
    assert done == []
    trainer.evaluate(test, load_best_model=True)
    assert done == ["waited"]


def test_what_several_processes_saved_is_loaded_by_one(one_of_one):
    train, _, _ = data_preparation(one_of_one, create_dataset(one_of_one))
    trainer = Trainer(one_of_one, BPR(one_of_one, train.dataset))
    trainer._save_checkpoint(0, verbose=False)
    assert one_of_one["single_spec"] is False
    assert load_checkpoint(trainer.saved_model_file)["config"]["single_spec"] is True


def test_spawned_processes_import_this_package():
    assert b"recbole_whisperlite.compat" in pickle.dumps(quick_start.run_recboles)
    assert quick_start.run_recboles.__wrapped__.__module__ != compat.__name__


def test_two_processes_train_and_evaluate_on_the_cpu(tmp_path):
    result = run(
        "BPR",
        "dozen",
        config_dict=settings(tmp_path, gpu_id="", train_batch_size=16),
        nproc=2,
        port=free_port(),
    )
    assert set(result) >= {"best_valid_score", "best_valid_result", "test_result"}
    assert 0 <= result["test_result"]["ndcg@3"] <= 1
    assert len(list(Path("saved").glob("BPR-*.pth"))) == 1


def test_masking_finds_the_one_item_that_is_left_and_says_if_there_is_none():
    from recbole.data.transform import MaskItemSequence

    mask = object.__new__(MaskItemSequence)
    mask.config = {"model": "BERT4Rec"}
    sequence = [n for n in range(5001) if n != 17]
    assert mask._neg_sample(sequence, 5001) == 17
    with pytest.raises(UserError, match="a sequence holds all 4 items"):
        mask._neg_sample([1, 2, 3, 4, 0], 5)


def test_metrics_that_count_need_no_tensors():
    from recbole.evaluator.collector import Collector

    given = {"metrics": ["GiniIndex"], "valid_metric": "GiniIndex@10"}
    collector = Collector(Config("BPR", "ml-100k", config_dict=given))
    collector.data_struct.set("data.num_items", 7)
    collector.data_struct.set("rec.items", torch.tensor([[1, 2]]))
    for _ in range(2):  # what is of the data stays for the next evaluation
        collector.data_struct.set("rec.items", torch.tensor([[1, 2]]))
        found = collector.get_data_struct()
        assert found["data.num_items"] == 7 and found["rec.items"].tolist() == [[1, 2]]


def test_times_that_float32_makes_equal_keep_their_order(tmp_path):
    home = tmp_path / "late" / "late.inter"
    home.parent.mkdir()
    begin = 1_600_000_000_000  # milliseconds; float32 has steps of 131,072
    rows = [f"u{user}\ti{n}\t{begin + n}" for n in range(9, 0, -1) for user in "ab"]
    head = "user_id:token\titem_id:token\ttimestamp:float"
    home.write_text("\n".join([head, *rows]) + "\n")
    args = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
    given = {
        "data_path": str(tmp_path),
        "state": "ERROR",
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "eval_args": {**args, "mode": "full"},
    }
    made = Config("BPR", "late", config_dict=given)
    test = create_dataset(made).build()[2]
    last = test.id2token("item_id", test.inter_feat["item_id"].numpy())
    assert last.tolist() == ["i9", "i9"]
