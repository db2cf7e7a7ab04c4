"""Everything that registers this package with RecBole.

RecBole looks up models, trainers and datasets by name in its own modules, and reads only
its own yaml files. Each function below extends one of these lookups; none changes how
RecBole's models behave on a dataset without requests. Importing this module runs them
all.
"""

import functools
import importlib
import sys

import recbole.data.dataset
import recbole.data.utils
import recbole.model.general_recommender
import recbole.trainer
import recbole.trainer.trainer
import recbole.utils.case_study
from recbole.config import Config
from recbole.data.dataset import Dataset
from recbole.trainer import Trainer
from recbole.utils.argument_list import dataset_arguments

from recbole_whisperlite import config_files, own_code
from recbole_whisperlite.compat.checkpoint import only_of
from recbole_whisperlite.compat.remedies import with_a_score, with_remedies
from recbole_whisperlite.compat.repairs import replace
from recbole_whisperlite.config import datasets, settings
from recbole_whisperlite.data import sampling, trained_on
from recbole_whisperlite.data.requests import has_requests
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.evaluation import result_file
from recbole_whisperlite.evaluation.case_study import scores_by_query
from recbole_whisperlite.evaluation.dataloader import evaluation_dataloader
from recbole_whisperlite.evaluation.metric import metric_names, register_metric
from recbole_whisperlite.evaluation.violation import RequestCollector, Violation
from recbole_whisperlite.model import fold_in, own
from recbole_whisperlite.model.names import our_models
from recbole_whisperlite.model.trainer import (
    LateFusionTrainer,
    LinearFusionTrainer,
    WhisperLitePlusTrainer,
    WhisperLiteTrainer,
)

# Those that do more than train by gradients.
OWN_TRAINERS = LateFusionTrainer, LinearFusionTrainer, WhisperLitePlusTrainer
# The dataset classes of models that need one of their own, in data/dataset.py.
OWN_DATASETS = {
    "WhisperDataset": "WhisperDataset",
    "WhisperLiteDataset": "WhisperLiteDataset",
    "WhisperLitePlusDataset": "WhisperLitePlusDataset",
    "ZAMDataset": "WhisperLitePlusDataset",
    "TEMDataset": "WhisperLitePlusDataset",
    "QuerySeqRecDataset": "WhisperLitePlusDataset",
    "LinearFusionDataset": "HistoryDataset",
    "LambdaMARTDataset": "HistoryDataset",
}


def _register_models():
    # get_model imports recbole.model.<kind>.<lower-case name>
    package = recbole.model.general_recommender
    for name in map(str.lower, our_models()):
        module = importlib.import_module(f"recbole_whisperlite.model.{name}")
        sys.modules[f"{package.__name__}.{name}"] = module
        setattr(package, name, module)
    fold_in.register()
    # get_trainer looks for <Model>Trainer
    recbole.trainer.WhisperLiteTrainer = WhisperLiteTrainer
    recbole.trainer.WhisperLitePlusTrainer = WhisperLitePlusTrainer
    recbole.trainer.LateFusionTrainer = LateFusionTrainer
    recbole.trainer.LinearFusionTrainer = LinearFusionTrainer
    recbole.trainer.LambdaMARTTrainer = LinearFusionTrainer


def _register_datasets():
    # create_dataset looks for <Model>Dataset. Our dataset classes are imported on demand:
    # their modules need RecBole to be imported completely.
    def find_dataset(name):
        if name in OWN_DATASETS:
            module = importlib.import_module("recbole_whisperlite.data.dataset")
            return getattr(module, OWN_DATASETS[name])
        raise AttributeError(f"module 'recbole.data.dataset' has no attribute {name!r}")

    # a RecBole that has WhisperLite has a dataset class of this name, too
    for name in OWN_DATASETS:
        vars(recbole.data.dataset).pop(name, None)
    recbole.data.dataset.__getattr__ = find_dataset

    # Whichever dataset class RecBole chooses for a model family, make it request-aware if
    # the data has requests.
    def choose_class(cls, *args, **kwargs):
        config = args[0] if args else kwargs.get("config")
        if config is not None:  # copy and pickle pass no arguments
            datasets.check_dataset(config)
            if has_requests(
                config["dataset"], config["data_path"], config["request_template"]
            ):
                from recbole_whisperlite.data.dataset import request_aware

                cls = request_aware(cls)
            else:
                datasets.check_no_requests_needed(config)
        return object.__new__(cls)

    Dataset.__new__ = staticmethod(choose_class)

    create = recbole.data.utils.create_dataset

    @functools.wraps(create)
    def create_dataset(config):
        dataset = create(config)
        datasets.check_features(config, dataset)
        datasets.check_labels(config, dataset)
        return dataset

    replace(create, create_dataset)
    # a saved dataset is reused only if these are unchanged
    dataset_arguments.extend(
        ["REQUEST_ID_FIELD", "REQUEST_FIELD", "request_template", "item_text_fields"]
        + ["known_at_test", "new_items", "folds"]
    )


def _register_what_models_are_trained_on():
    # Training dataloaders are wrapped below, except those that RecBole has saved.
    load = recbole.data.utils.load_split_dataloaders

    @functools.wraps(load)
    def load_split_dataloaders(config):
        loaded = load(config)
        if loaded is not None:
            trained_on.keep(config, loaded[0]._dataset)
        return loaded

    recbole.data.utils.load_split_dataloaders = load_split_dataloaders

    # A checkpoint may be continued, or evaluated, by a run that has read other data.
    resume, evaluate = Trainer.resume_checkpoint, Trainer.evaluate

    @functools.wraps(resume)
    def resume_checkpoint(self, resume_file):
        with only_of(vars(self.config).get("trained_on")):
            return resume(self, resume_file)

    @functools.wraps(evaluate)
    def evaluate_checkpoint(self, *args, **kwargs):
        with only_of(vars(self.config).get("trained_on")):
            return evaluate(self, *args, **kwargs)

    Trainer.resume_checkpoint, Trainer.evaluate = resume_checkpoint, evaluate_checkpoint


def _register_evaluation():
    choose = recbole.data.utils.get_dataloader

    @functools.wraps(choose)
    def get_dataloader(config, phase):
        dataloader = choose(config, phase)
        if phase == "train":
            return trained_on.kept_by(dataloader)
        return evaluation_dataloader(dataloader)

    recbole.data.utils.get_dataloader = get_dataloader
    sampling.register()

    recbole.trainer.trainer.Collector = RequestCollector
    register_metric(Violation)

    combine = Trainer._map_reduce

    @functools.wraps(combine)
    def _map_reduce(self, result, num_sample):
        # the collector has gathered the queries of all processes
        if self.eval_collector.by_query:
            return result
        return combine(self, result, num_sample)

    Trainer._map_reduce = _map_reduce
    Trainer._train_epoch = with_remedies(Trainer._train_epoch)
    Trainer.evaluate = with_remedies(Trainer.evaluate)
    Trainer._valid_epoch = with_a_score(Trainer._valid_epoch)

    # full_sort_topk calls it by this name
    case_study = recbole.utils.case_study
    case_study.full_sort_scores = scores_by_query(case_study.full_sort_scores)


def _register_settings():
    find, load = Config._get_model_and_dataset, Config._load_internal_config_dict
    read, convert = Config._load_config_files, Config._convert_config_dict
    complete = Config._set_default_parameters

    @functools.wraps(read)
    def _load_config_files(self, file_list):
        files = [config_files.find(file) for file in file_list or ()]
        given = read(self, files)
        own_code.check_named(given, ", ".join(files))
        return given

    @functools.wraps(convert)
    def _convert_config_dict(self, config_dict):
        given = {key: settings.unquoted_list(v) for key, v in config_dict.items()}
        return convert(self, given)

    @functools.wraps(find)
    def _get_model_and_dataset(self, model, dataset):
        name = model or self.external_config_dict.get("model")
        if isinstance(name, str):
            model = own.model_class(name).__name__
        elif isinstance(name, type) and own.is_own(name):
            own.register_model(name)
        found = find(self, model, dataset)
        config_files.check_dataset_name(found[-1])
        return found

    @functools.wraps(load)
    def _load_internal_config_dict(self, model, model_class, dataset):
        result_file.start(self)
        load(self, model, model_class, dataset)
        settings.add_defaults(self, model_class, dataset)

    @functools.wraps(complete)
    def _set_default_parameters(self):
        final, defaults = self.final_config_dict, self.internal_config_dict
        settings.complete_eval_args(final, defaults)
        settings.read_switches(final, defaults)
        if isinstance(final["topk"], tuple):
            final["topk"] = list(final["topk"])
        if "known_at_test" in defaults:
            settings.check_values(final, self.model_class)
            settings.check_places(final)
        final["metrics"] = metric_names(final["metrics"])
        settings.check_evaluation(final)
        complete(self)
        settings.choose_direction(final, self.external_config_dict)

    for method in (
        _load_config_files,
        _convert_config_dict,
        _get_model_and_dataset,
        _load_internal_config_dict,
        _set_default_parameters,
    ):
        setattr(Config, method.__name__, method)


def _register_result_file():
    for trainer in (Trainer, *OWN_TRAINERS):
        trainer.fit = functools.wraps(trainer.fit)(result_file.timed_fit(trainer.fit))
    evaluate = functools.wraps(Trainer.evaluate)(
        result_file.timed_evaluate(Trainer.evaluate)
    )

    @functools.wraps(evaluate)
    def evaluate_and_export(self, eval_data, *args, **kwargs):
        result = evaluate(self, eval_data, *args, **kwargs)
        config = self.config
        if result is None and eval_data is not None:
            raise UserError(
                f"No interaction of '{config['dataset']}' is in the part to evaluate, so "
                f"there is no result; eval_args are {config['eval_args']}. Users with a "
                "single interaction have none to test with leave-one-out, and a split by "
                "ratio needs three numbers."
            )
        is_test = result is not None and result_file.phase_of(eval_data) == "test"
        if config["export"] and is_test and config["local_rank"] == 0:
            # imported on demand: it reads most of this package
            export = importlib.import_module("recbole_whisperlite.export.model")
            export.export_of_run(self, eval_data, result)
        return result

    Trainer.evaluate = evaluate_and_export


_register_models()
_register_datasets()
_register_what_models_are_trained_on()
_register_evaluation()
_register_settings()
_register_result_file()
