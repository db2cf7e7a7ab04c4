"""The one door to RecBole: everything that tells RecBole we exist.

RecBole finds models, trainers and datasets by name in its own modules, and reads its own
yaml files only. Each function below opens one of these places; none changes what a model
of RecBole does on a dataset without requests.
"""

import functools
import importlib
import sys

import recbole.data.dataset
import recbole.data.utils
import recbole.evaluator.register
import recbole.model.general_recommender
import recbole.trainer
import recbole.trainer.trainer
from recbole.config import Config
from recbole.data.dataset import Dataset
from recbole.trainer import Trainer
from recbole.utils.argument_list import dataset_arguments

from recbole_whisperlite import report, settings
from recbole_whisperlite.data.dataset import (
    WhisperDataset,
    WhisperLiteDataset,
    has_requests,
    request_aware,
)
from recbole_whisperlite.data.evaluation import evaluation_dataloader
from recbole_whisperlite.evaluator import RequestCollector, Violation
from recbole_whisperlite.trainer import LateFusionTrainer, WhisperLiteTrainer

_registered = False


def register():
    """Make WhisperLite, request-aware datasets and their settings known to RecBole.

    Importing the package calls it; calling it again does nothing.
    """
    global _registered
    if _registered:
        return
    _register_models()
    _register_datasets()
    _register_evaluation()
    _register_settings()
    _register_report()
    _registered = True


def _register_models():
    # get_model imports recbole.model.<kind>.<lower-case name>
    package = recbole.model.general_recommender
    for name in map(str.lower, settings.our_models()):
        module = importlib.import_module(f"recbole_whisperlite.model.{name}")
        sys.modules[f"{package.__name__}.{name}"] = module
        setattr(package, name, module)
    # get_trainer looks for <Model>Trainer
    for trainer in (WhisperLiteTrainer, LateFusionTrainer):
        setattr(recbole.trainer, trainer.__name__, trainer)


def _register_datasets():
    # create_dataset looks for <Model>Dataset
    recbole.data.dataset.WhisperLiteDataset = WhisperLiteDataset
    recbole.data.dataset.WhisperDataset = WhisperDataset

    # Whichever dataset class RecBole chooses for a model family, it becomes
    # request-aware if the data has requests.
    def choose_class(cls, *args, **kwargs):
        config = args[0] if args else kwargs.get("config")
        if config is not None:  # copy and pickle call without
            settings.check_dataset(config)
            if has_requests(config):
                cls = request_aware(cls)
        return object.__new__(cls)

    Dataset.__new__ = staticmethod(choose_class)
    # a saved dataset is used again only if these are unchanged
    dataset_arguments.extend(
        ["REQUEST_ID_FIELD", "REQUEST_FIELD", "request_template", "item_text_fields"]
    )


def _register_evaluation():
    choose = recbole.data.utils.get_dataloader

    @functools.wraps(choose)
    def get_dataloader(config, phase):
        dataloader = choose(config, phase)
        return dataloader if phase == "train" else evaluation_dataloader(dataloader)

    recbole.data.utils.get_dataloader = get_dataloader

    recbole.trainer.trainer.Collector = RequestCollector
    known = recbole.evaluator.register
    name = Violation.__name__.lower()
    known.metrics_dict[name] = Violation
    known.metric_information[name] = Violation.metric_need
    known.metric_types[name] = Violation.metric_type
    known.smaller_metrics.append(name)


def _register_settings():
    find, load = Config._get_model_and_dataset, Config._load_internal_config_dict

    @functools.wraps(find)
    def _get_model_and_dataset(self, model, dataset):
        name = model or self.external_config_dict.get("model")
        if isinstance(name, str):
            settings.check_model(name)
        return find(self, model, dataset)

    @functools.wraps(load)
    def _load_internal_config_dict(self, model, model_class, dataset):
        report.start(self)
        load(self, model, model_class, dataset)
        settings.add_defaults(self, model, dataset)

    Config._get_model_and_dataset = _get_model_and_dataset
    Config._load_internal_config_dict = _load_internal_config_dict


def _register_report():
    Trainer.fit = functools.wraps(Trainer.fit)(report.timed_fit(Trainer.fit))
    Trainer.evaluate = functools.wraps(Trainer.evaluate)(
        report.timed_evaluate(Trainer.evaluate)
    )
