"""The entries in RecBole3.0's tables, and the settings that Hydra finds by their names."""

from recbole3.dataset import DATASET_TABLE, DatasetSpec
from recbole3.model import MODEL_TABLE, ModelSpec

from recbole_whisperlite.recbole3 import settings
from recbole_whisperlite.recbole3.dataset import (
    RequestFolderConfig,
    RequestFolderDataset,
)
from recbole_whisperlite.recbole3.evaluation import RequestTrainer, by_request
from recbole_whisperlite.recbole3.model import (
    WhisperLiteConfig,
    WhisperLiteData,
    WhisperLiteModel,
)

#: The names of the two entries: ``dataset=request_folder model=whisperlite``.
DATASET, MODEL = "request_folder", "whisperlite"


def register() -> None:
    """Make the two entries, and second names for models that can be evaluated by query.

    Entries that are there stay as they are.
    """
    for name, spec in list(MODEL_TABLE.items()):
        if (evaluated := by_request(spec)) is not None:
            MODEL_TABLE[f"{name}_by_request"] = evaluated
    DATASET_TABLE[DATASET] = DatasetSpec(
        dataset_cls=RequestFolderDataset, config_cls=RequestFolderConfig
    )
    MODEL_TABLE[MODEL] = ModelSpec(
        model_cls=WhisperLiteModel,
        config_cls=WhisperLiteConfig,
        model_data_cls=WhisperLiteData,
        trainer_cls=RequestTrainer,
    )
    settings.store(DATASET, MODEL)
