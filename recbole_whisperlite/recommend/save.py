"""From the parts of a model to its folder."""

from __future__ import annotations

from pathlib import Path

from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.recommend import folder as model_folder
from recbole_whisperlite.recommend.state import State


def write_model(
    folder: Path,
    config: dict,
    state: State,
    encoder: FittedEncoder,
    card: str | None,
) -> None:
    """Write an exported model, whole or not at all.

    Args:
        folder (Path): Where; absolute.
        config (dict): ``made_with`` (version), ``about`` (where the model comes from) and
            ``encoder`` with the ``settings`` of the encoder; the rest is added here.
        state (State): Items, model, users.
        encoder (FittedEncoder): That of the training.
        card (str or None): The model card; None keeps the one that is there.

    Raises:
        UserError: If the folder holds something else, or cannot be written to.
    """
    arrays, fitted = dict(state.scorer.arrays()), encoder.state()
    for number, name in enumerate(encoder.names):
        for key, array in fitted.get(name, {}).items():
            arrays[f"encoder-{number}.npz/{key}"] = array
    arrays["items.parquet/"] = state.catalogue.table
    if state.users is not None:
        arrays["users.parquet/"] = state.users.table()
    config = {
        "made_with": config["made_with"],
        "model": state.scorer.kind,
        "scorer": state.scorer.settings(),
        "encoder": {
            "names": encoder.names,
            "settings": config["encoder"]["settings"],
            "fingerprints": encoder.fingerprints(),
        },
        "catalogue": state.catalogue.settings(folder),
        "about": config["about"],
    }
    model_folder.write(folder, config, arrays, card)
