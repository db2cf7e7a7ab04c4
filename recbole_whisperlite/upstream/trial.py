"""Trains WhisperLite with RecBole's own parts, saves it, loads it again; prints figures.

It imports nothing of ours: run by :mod:`alone` in a clone of RecBole it tries the clone,
and with the plugin loaded it tries the plugin, on the same rows and with the same seeds::

    python trial.py '{"dataset": ..., "data_path": ..., ...}'
"""

import json
import sys


def run(settings):
    """Return figures of one run.

    Args:
        settings (dict): As RecBole's ``config_dict``, with ``dataset``.

    Returns:
        dict: ``test`` and ``reloaded``, the metrics with the model of the run and with that
        of its checkpoint; ``losses``, one per epoch; ``rows``, how many rankings the test
        has; ``recbole``, where RecBole is; ``classes``, the modules of model and dataset;
        ``modules``, what of ours was imported.
    """
    import recbole
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.quick_start import load_data_and_model
    from recbole.trainer import Trainer
    from recbole.utils import get_model, init_seed

    config = Config("WhisperLite", settings["dataset"], config_dict=settings)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    model = get_model("WhisperLite")(config, train._dataset).to(config["device"])
    trainer = Trainer(config, model)
    trainer.fit(train, valid, show_progress=False)
    result = trainer.evaluate(test)
    config, model, _, _, _, test = load_data_and_model(trainer.saved_model_file)
    reloaded = Trainer(config, model).evaluate(test, load_best_model=False)
    return {
        "test": dict(result),
        "reloaded": dict(reloaded),
        "losses": list(trainer.train_loss_dict.values()),
        "rows": len(test.user_df),
        "recbole": recbole.__file__,
        "classes": [type(model).__module__, type(dataset).__module__],
        "modules": [name for name in sys.modules if name.startswith("recbole_whisper")],
    }


if __name__ == "__main__":
    given = json.loads(sys.argv.pop())
    print(json.dumps(run(given)))
