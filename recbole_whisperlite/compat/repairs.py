"""The repairs that RecBole 1.2.1 needs to run with current dependencies.

Each repair checks what is installed, is applied only where it is needed, and names the
symptom it fixes. ``recbole-whisperlite doctor`` lists them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pickle
import random
import sys
import threading
import types
from dataclasses import dataclass
from typing import Any, Callable

import numpy as np
import yaml

from recbole_whisperlite.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Repair:
    """One repair: what goes wrong without it, when it is needed, what it does.

    Attributes:
        name (str): What is repaired, in a few words.
        symptom (str): What the user sees without it.
        issues (tuple of int): Numbers of the issues that report it to RecBole.
        needed (callable): Returns whether this installation needs it; every one by default.
        fix (callable): Applies it to this process.
    """

    name: str
    symptom: str
    issues: tuple[int, ...] = ()
    needed: Callable[[], bool] = lambda: True
    fix: Callable[[], None]


# The repairs considered so far in this process: {name: whether it was needed}
_applied = {}


def apply() -> None:
    """Apply every repair that this installation needs; later calls do nothing.

    Raises:
        UserError: If something installed cannot be repaired, only replaced; the message
            names the command that does so.
    """
    problems = unusable()
    if problems:
        raise UserError(" ".join(problems))
    for repair in REPAIRS:
        if repair.name not in _applied:
            needed = repair.needed()
            if needed:
                repair.fix()
            _applied[repair.name] = needed


def status() -> list[tuple[Repair, bool | None]]:
    """Return ``[(Repair, active), ...]``; ``active`` is None before ``apply``."""
    return [(repair, _applied.get(repair.name)) for repair in REPAIRS]


def unusable() -> list[str]:
    """Return a sentence with a remedy for each package that RecBole cannot use."""
    import pandas

    problems = []
    if importlib.util.find_spec("recbole") is None:
        # on Python 3.12 pip finds no ray for it, so its dependencies are left out
        without = "--no-deps " if sys.version_info >= (3, 12) else ""
        problems.append(
            "RecBole is not installed: run "
            f'pip install {without}"recbole>=1.2.1,<1.3".'
        )
    if int(pandas.__version__.split(".")[0]) >= 3:
        problems.append(
            f"RecBole 1.2 cannot read data with pandas {pandas.__version__}: run "
            'pip install "pandas<3".'
        )
    if _has_ray() and importlib.util.find_spec("pkg_resources") is None:
        problems.append(
            "ray is installed, but cannot be imported without pkg_resources, which "
            'setuptools dropped in version 81: run pip install "setuptools<81".'
        )
    return problems


class _Instead(types.ModuleType):
    """A module with some names replaced, given to RecBole's modules under the old name.

    This repairs what only RecBole should see; the module itself stays unchanged.
    """

    def __init__(self, module, **names):
        super().__init__(module.__name__)
        vars(self).update(names, _module=module)

    def __getattr__(self, name):
        return getattr(self._module, name)


# --- numpy ---------------------------------------------------------------------------

# The names that ray 2.6 and RecBole use, with the meaning that RecBole gives them in
# Config.compatibility_settings.
_NUMPY_ALIASES = {
    "bool8": np.bool_,
    "float_": np.float64,
    "complex_": np.complex128,
    "unicode_": np.str_,
    "bool": np.bool_,
    "int": np.int_,
    "float": np.float64,
    "complex": np.complex128,
    "object": np.object_,
    "str": np.str_,
    "long": np.int_,
    "unicode": np.str_,
}


def _add_numpy_aliases():
    for name, meaning in _NUMPY_ALIASES.items():
        if name not in vars(np):
            setattr(np, name, meaning)


# --- ray and hyperopt ----------------------------------------------------------------


def _has_ray():
    return importlib.util.find_spec("ray") is not None


class _AbsentRay(types.ModuleType):
    """The ``ray.tune`` that RecBole gets if ray is not installed."""

    def report(self, **metrics: Any) -> None:
        """Do nothing, as ray does outside its own sessions.

        RecBole's objective_function calls this even when tuning with hyperopt.
        """

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise UserError(
            f"ray.tune.{name} needs ray, which is not installed: on Python 3.11 or "
            'older run pip install "ray[tune]<=2.6.3" "setuptools<81"; for newer '
            "Pythons there is no version of ray that RecBole 1.2 works with. Tuning "
            "with hyperopt (recbole.trainer.HyperTuning) does not need ray."
        )


def _import_quick_start_without_ray():
    ray = types.ModuleType("ray")
    ray.tune = _AbsentRay("ray.tune")
    # Only RecBole's own "from ray import tune" may find it: other packages check
    # whether ray is installed, and it is not.
    sys.modules["ray"] = ray
    try:
        importlib.import_module("recbole.quick_start")
    finally:
        del sys.modules["ray"]


def _lacks_hyperopt():
    return importlib.util.find_spec("hyperopt") is None


def _say_hyperopt_is_absent():
    from recbole.trainer import HyperTuning

    @functools.wraps(HyperTuning.__init__)
    def __init__(self, *args, **kwargs):
        raise UserError(
            "HyperTuning searches with hyperopt, which is not installed: run "
            "pip install hyperopt."
        )

    HyperTuning.__init__ = __init__


class _RandomState(np.random.RandomState):
    """What RecBole passes to hyperopt, which has called ``integers`` since 0.2.6."""

    integers = np.random.RandomState.randint


def _search_with_current_hyperopt():
    from recbole.trainer import hyper_tuning

    hyper_tuning.np = _Instead(np, random=_Instead(np.random, RandomState=_RandomState))


# --- scipy ---------------------------------------------------------------------------


def _lacks_dok_update():
    from scipy.sparse import dok_matrix

    return not hasattr(dok_matrix, "_update")


def _give_back_dok_update():
    from scipy.sparse import dok_matrix

    def _update(self, data):
        """Set the entries ``{(row, column): value}`` without checking them."""
        self._dict.update(data)

    dok_matrix._update = _update


# --- torch.load ----------------------------------------------------------------------

# Where RecBole calls torch.load by the module's global name "torch".
_MODULES_THAT_LOAD = (
    "recbole.trainer.trainer",
    "recbole.model.context_aware_recommender.kd_dagfm",
    "recbole.model.general_recommender.convncf",
    "recbole.model.general_recommender.nais",
    "recbole.model.general_recommender.neumf",
    "recbole.model.general_recommender.ract",
    "recbole.model.sequential_recommender.s3rec",
)


def _read_own_checkpoints():
    import torch

    from recbole_whisperlite.compat.checkpoint import load_checkpoint
    from recbole_whisperlite.compat.saved_data import save_checkpoint

    torch_for_recbole = _Instead(torch, load=load_checkpoint, save=save_checkpoint)
    # Importing RecBole's sequential models turns on anomaly detection (sine.py), which
    # would slow down every model; without us, only runs of those models are affected.
    anomaly_detection = torch.is_anomaly_enabled()
    for name in _MODULES_THAT_LOAD:
        importlib.import_module(name).torch = torch_for_recbole
    torch.autograd.set_detect_anomaly(anomaly_detection)

    # load_data_and_model imports torch inside its body, out of reach of module globals.
    from recbole.quick_start import load_data_and_model

    replace(load_data_and_model, _with_first_load(load_data_and_model, load_checkpoint))


_first_load_lock = threading.RLock()


def _with_first_load(function, load):
    """Wrap ``function`` so that its first ``torch.load`` in this thread is ``load``."""
    import torch

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        thread = threading.get_ident()

        def first_load(*load_args, **load_kwargs):
            if threading.get_ident() != thread:
                return original(*load_args, **load_kwargs)
            torch.load = original
            return load(*load_args, **load_kwargs)

        with _first_load_lock:
            original = torch.load
            torch.load = first_load
            try:
                return function(*args, **kwargs)
            finally:
                if torch.load is first_load:  # nothing was loaded
                    torch.load = original

    return wrapper


def replace(old: Callable, new: Callable) -> None:
    """Replace ``old`` by ``new`` in every module that imported it by name."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})
        if names.get(old.__name__) is old:
            names[old.__name__] = new


# --- files that are no code -----------------------------------------------------------


def _take_settings_as_plain_values():
    from recbole.config import Config, configurator
    from recbole.model.context_aware_recommender import kd_dagfm
    from recbole.trainer import hyper_tuning

    from recbole_whisperlite.compat import plain_values

    # A module finds its own "eval" before Python's.
    configurator.eval = plain_values.evaluate
    hyper_tuning.eval = plain_values.evaluate_choices
    teachers = {name: getattr(kd_dagfm, name) for name in ("CIN", "CrossNet", "DAGFM")}
    kd_dagfm.eval = functools.partial(plain_values.choose, teachers, "teacher")

    read = Config._load_config_files

    @functools.wraps(read)
    def _load_config_files(self, file_list):
        # only while it reads: checkpoints hold the loader, and RecBole alone reads them
        loader, self.yaml_loader = self.yaml_loader, plain_values.PlainLoader
        try:
            settings = read(self, file_list)
        except yaml.YAMLError as error:
            raise UserError(
                f"config_files: {', '.join(map(str, file_list))} cannot be read as plain "
                f"values: {' '.join(str(error).split())}"
            ) from None
        finally:
            self.yaml_loader = loader
        if "local_rank" in settings:
            raise UserError(
                f"config_files: {', '.join(map(str, file_list))} set local_rank, by which "
                "this process would join others at the address of the file, and unpickle "
                "what they send. Remove it; several processes are started by --nproc."
            )
        return settings

    Config._load_config_files = _load_config_files


def _read_saved_data():
    from recbole.data import utils

    from recbole_whisperlite.compat.checkpoint import load_saved_data

    utils.pickle = _Instead(pickle, load=load_saved_data)


def _keep_saved_data_up_to_date():
    from recbole.data import utils
    from recbole.data.dataset import Dataset

    from recbole_whisperlite.compat import saved_data

    Dataset.save = saved_data.save_dataset
    utils.load_split_dataloaders = saved_data.load_split_dataloaders(
        utils.load_split_dataloaders
    )
    replace(utils.create_dataset, saved_data.create_dataset(utils.create_dataset))
    replace(utils.save_split_dataloaders, saved_data.save_split_dataloaders)


def _leave_numbers_where_they_are():
    from recbole.evaluator.collector import Collector

    get = Collector.get_data_struct

    @functools.wraps(get)
    def get_data_struct(self):
        """Move tensors to the CPU, and leave alone what is none."""
        data = self.data_struct._data_dict
        others = {name: data[name] for name in data if not hasattr(data[name], "cpu")}
        for name in others:
            del data[name]
        found = get(self)
        for name, value in others.items():
            found.set(name, value)
            self.data_struct.set(name, value)
        return found

    Collector.get_data_struct = get_data_struct


def _draw_another_item():
    from recbole.data.transform import MaskItemSequence

    def _neg_sample(self, item_set, n_items):
        """Draw an item that is not in a sequence; RecBole's draws for ever if all are."""
        for _ in range(1000):
            item = random.randint(1, n_items - 1)
            if item not in item_set:
                return item
        others = set(range(1, n_items)).difference(item_set)
        if others:
            return random.choice(sorted(others))
        raise UserError(
            f"{self.config['model']} masks items of a sequence and draws others instead, "
            f"but a sequence holds all {n_items - 1} items. Use data with more items, a "
            "smaller MAX_ITEM_LIST_LENGTH, or another model."
        )

    MaskItemSequence._neg_sample = _neg_sample


def _keep_order_of_times():
    from recbole.data.dataset import Dataset

    change = Dataset._change_feat_format

    @functools.wraps(change)
    def _change_feat_format(self):
        """Sort by times in float64 where those in float32, which RecBole sorts, are equal."""
        feat = self.inter_feat
        is_read = hasattr(feat, "sort_values") and self.time_field in feat
        # with requests, the split has its own order
        if is_read and not hasattr(self, "request_field"):
            times = feat[self.time_field].to_numpy(dtype=np.float64)
            if len(np.unique(times)) > len(np.unique(times.astype(np.float32))):
                # RecBole's own sorting is stable
                self.inter_feat = feat.sort_values(
                    self.time_field, kind="stable", ignore_index=True
                )
        change(self)

    Dataset._change_feat_format = _change_feat_format


def _read_arrays_of_numbers():
    from recbole.model.general_recommender import ldiffrec

    def load(path, **_):
        try:
            return np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise UserError(
                f"{path} is not an array of numbers ({error}). LDiffRec reads the vectors "
                "of items from it: write it with numpy.save(..., allow_pickle=False)."
            ) from error

    ldiffrec.np = _Instead(np, load=load)


# --- files of one run ----------------------------------------------------------------


def _give_each_run_files_of_its_own():
    from recbole.trainer import trainer
    from recbole.utils import logger, utils
    from recbole.utils.wandblogger import WandbLogger

    from recbole_whisperlite.compat import run_files

    # The modules that name files by the second: checkpoints, the temporary files of tree
    # models, logs. recbole.utils.get_local_time still returns the time alone.
    trainer.get_local_time = logger.get_local_time = run_files.own_time
    replace(logger.init_logger, run_files.init_logger(logger.init_logger))
    replace(utils.get_tensorboard, run_files.get_tensorboard)
    WandbLogger.setup = run_files.set_up_wandb(WandbLogger.setup)


# --- several processes ---------------------------------------------------------------


def run_recboles(rank: int, *args: Any) -> None:
    """Run RecBole's function of this name in a spawned process.

    A spawned process imports the module of the function it runs. For RecBole's own
    function that is RecBole alone, without repairs and without our models.
    """
    importlib.import_module("recbole")  # applies the repairs, which set __wrapped__
    try:
        return run_recboles.__wrapped__(rank, *args)
    except UserError as error:
        # of no other class, by whose name the command line knows it
        raise UserError(str(error)) from None


def _spawn_through_us():
    from recbole.quick_start import quick_start

    run_recboles.__wrapped__ = quick_start.run_recboles
    quick_start.run_recboles = run_recboles


def _knows_only_nccl():
    from recbole.config import Config

    return "nccl" in Config._init_device.__code__.co_consts


def _use_gloo_on_the_cpu():
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    from recbole.config import Config
    from recbole.trainer.trainer import AbstractTrainer

    init_device = Config._init_device
    init_trainer = AbstractTrainer.__init__

    @functools.wraps(init_device)
    def _init_device(self):
        config = self.final_config_dict
        rank = config.pop("local_rank", None)
        init_device(
            self
        )  # without a rank: a single process, on the GPU if there is one
        if rank is None:
            return
        config["local_rank"] = rank
        if config["device"].type != "cpu":
            if len(config["gpu_id"].split(",")) < config["nproc"]:
                raise UserError(
                    f"nproc is {config['nproc']}, but gpu_id is '{config['gpu_id']}': each "
                    "process needs a GPU of its own. Set gpu_id to 0,1 for two, for "
                    "example, or to nothing (--gpu_id=) to stay on the CPU."
                )
            init_device(self)
            return
        distributed.init_process_group(
            backend="gloo",
            rank=rank + config["offset"],
            world_size=config["world_size"],
            init_method=f"tcp://{config['ip']}:{config['port']}",
        )
        config["single_spec"] = False
        if rank != 0:
            config.update(state="error", show_progress=False, verbose=False)

    @functools.wraps(init_trainer)
    def __init__(self, config, model):
        if config["single_spec"] or config["device"].type != "cpu":
            init_trainer(self, config, model)
            return
        # As in RecBole, without what works on GPUs only: device_ids and SyncBatchNorm.
        self.config, self.model = config, model
        self.distributed_model = DistributedDataParallel(model)

    Config._init_device = _init_device
    AbstractTrainer.__init__ = __init__


def _let_anyone_make_folders():
    from recbole.utils import utils

    @functools.wraps(utils.ensure_dir)
    def ensure_dir(dir_path):
        os.makedirs(dir_path, exist_ok=True)

    replace(utils.ensure_dir, ensure_dir)


def _share_the_checkpoint():
    from torch import distributed

    from recbole.trainer import Trainer

    from recbole_whisperlite.compat.saved_data import of_one_process

    init, evaluate, save = Trainer.__init__, Trainer.evaluate, Trainer._save_checkpoint

    @functools.wraps(init)
    def __init__(self, config, model):
        init(self, config, model)
        if not config["single_spec"]:
            # The name is one that only this process has.
            name = [self.saved_model_file]
            distributed.broadcast_object_list(name, src=0)
            self.saved_model_file = name[0]

    @functools.wraps(evaluate)
    def evaluate_what_is_written(
        self, eval_data, load_best_model=True, *args, **kwargs
    ):
        if load_best_model and not self.config["single_spec"]:
            distributed.barrier()  # the first process may still be writing the file
        return evaluate(self, eval_data, load_best_model, *args, **kwargs)

    @functools.wraps(save)
    def save_for_one_process(self, *args, **kwargs):
        if self.config["local_rank"]:
            return
        with of_one_process(self.config):
            save(self, *args, **kwargs)

    Trainer.__init__ = __init__
    Trainer.evaluate = evaluate_what_is_written
    Trainer._save_checkpoint = save_for_one_process


# --- the list, in the order of application --------------------------------------------

REPAIRS = (
    Repair(
        name="numpy names",
        symptom="module 'numpy' has no attribute 'bool8' (ray), 'float_' (RecBole)",
        issues=(2215, 2162, 2174),
        needed=lambda: not hasattr(np, "float_"),
        fix=_add_numpy_aliases,
    ),
    Repair(
        name="ray absent",
        symptom="No module named 'ray' on import recbole.quick_start",
        issues=(1820,),
        needed=lambda: not _has_ray(),
        fix=_import_quick_start_without_ray,
    ),
    Repair(
        name="hyperopt absent",
        symptom="No module named 'hyperopt' in the middle of HyperTuning",
        needed=_lacks_hyperopt,
        fix=_say_hyperopt_is_absent,
    ),
    Repair(
        name="exhaustive search",
        symptom="'RandomState' object has no attribute 'integers' in HyperTuning",
        issues=(1868, 1240, 1081),
        needed=lambda: not _lacks_hyperopt(),
        fix=_search_with_current_hyperopt,
    ),
    Repair(
        name="scipy dok_matrix._update",
        symptom="'dok_matrix' object has no attribute '_update' (LightGCN, NGCF, ...)",
        issues=(2034, 2090, 2185),
        needed=_lacks_dok_update,
        fix=_give_back_dok_update,
    ),
    Repair(
        name="reading RecBole's checkpoints",
        symptom="Weights only load failed, when the best model is loaded",
        issues=(2215, 2212, 2174),
        # before torch 2.6 the symptom is another: a file runs whatever code it holds
        fix=_read_own_checkpoints,
    ),
    Repair(
        name="settings as plain values",
        symptom="a setting runs as Python code: in yaml, checkpoints, parameter files",
        fix=_take_settings_as_plain_values,
    ),
    Repair(
        name="saved datasets and dataloaders as data",
        symptom="a file in saved/ runs whatever code it holds",
        fix=_read_saved_data,
    ),
    Repair(
        name="saved datasets and dataloaders of this run",
        symptom="with save_dataset, later runs keep the settings and files of the first; "
        "with save_dataloaders, AttributeError: 'NoneType' object has no attribute "
        "'manual_seed'",
        fix=_keep_saved_data_up_to_date,
    ),
    Repair(
        name="masking in small catalogues",
        symptom="BERT4Rec hangs where a sequence holds all items",
        fix=_draw_another_item,
    ),
    Repair(
        name="order of times",
        symptom="times such as Unix milliseconds become equal in float32, and the wrong "
        "interactions are held out",
        fix=_keep_order_of_times,
    ),
    Repair(
        name="metrics of the catalogue",
        symptom="ItemCoverage, GiniIndex, AveragePopularity, TailPercentage: "
        "AttributeError: 'int' object has no attribute 'cpu'",
        fix=_leave_numbers_where_they_are,
    ),
    Repair(
        name="item vectors as numbers",
        symptom="item_emb.npy of LDiffRec runs whatever code it holds",
        fix=_read_arrays_of_numbers,
    ),
    Repair(
        name="files of each run",
        symptom="runs that start in the same second overwrite each other's best model; runs "
        "of one process share the first one's log, curves and run of Weights & Biases",
        fix=_give_each_run_files_of_its_own,
    ),
    Repair(
        name="spawned processes",
        symptom="with nproc=2 the processes have neither the repairs nor our models",
        fix=_spawn_through_us,
    ),
    Repair(
        name="several processes on the CPU",
        symptom="with nproc=2 RecBole requires nccl and a GPU per process",
        needed=_knows_only_nccl,
        fix=_use_gloo_on_the_cpu,
    ),
    Repair(
        name="folders for all processes",
        symptom="with nproc=2 sometimes: File exists: './log'",
        fix=_let_anyone_make_folders,
    ),
    Repair(
        name="one checkpoint for all processes",
        symptom="with nproc=2 the best model's file is missing, partial or unusable",
        issues=(2063, 2149),
        fix=_share_the_checkpoint,
    ),
)
