"""What runs on a graphics card is what runs without one. Skipped where there is none."""

import numpy as np
import open_clip
import pytest
import torch
from recbole.utils import get_model, get_trainer, init_seed
from tqdm import tqdm

from recbole_whisperlite.compat.checkpoint import load_checkpoint
from recbole_whisperlite.encoder.text_tower import TextTower

#: The device that is compared with the processor.
DEVICE = "cuda"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]
MODELS = pytest.mark.parametrize("model", ["WhisperLite", "WhisperLitePlus"])


@pytest.fixture
def fitted(tiny, prepare):
    """Return a function (model, device, **settings) -> trainer, test data, losses."""

    def run(model, device, **settings):
        on_gpu = device != "cpu"
        settings = {"epochs": 3, "use_gpu": on_gpu, "encoder_dim": 8, **settings}
        config, _, (train, valid, test) = prepare(model, tiny, **settings)
        init_seed(config["seed"], config["reproducibility"])
        network = get_model(model)(config, train._dataset).to(config["device"])
        trainer = get_trainer(config["MODEL_TYPE"], model)(config, network)
        trainer.fit(train, valid, show_progress=False)
        assert {each.device.type for each in network.parameters()} == {device}
        return trainer, test, list(trainer.train_loss_dict.values())

    return run


@MODELS
def test_losses_and_metrics_are_those_of_the_processor(model, fitted):
    settings = {"train_neg_sample_args": None, "bce_weight": 0}
    if model == "WhisperLitePlus":  # which draws on the device: here it draws nothing
        settings |= {"new_item_rate": 0, "history_dropout_prob": 0}
        settings["n_candidates"] = 10**6
    found = [fitted(model, device, **settings) for device in ("cpu", DEVICE)]
    (one, test, losses), (other, other_test, other_losses) = found
    np.testing.assert_allclose(other_losses, losses, rtol=1e-3)
    expected = one.evaluate(test, load_best_model=False)
    metrics = other.evaluate(other_test, load_best_model=False)
    assert metrics == pytest.approx(expected, abs=0.05)  # near ties may fall otherwise


@MODELS
def test_a_checkpoint_of_a_gpu_is_loaded_without_one(model, fitted):
    trainer, test, _ = fitted(model, DEVICE)
    expected = trainer.evaluate(test)
    state = load_checkpoint(trainer.saved_model_file, "cpu")["state_dict"]
    assert {each.device.type for each in state.values()} == {"cpu"}
    other, other_test, _ = fitted(model, "cpu", epochs=1)
    other.model.load_state_dict(state)
    metrics = other.evaluate(other_test, load_best_model=False)
    assert metrics == pytest.approx(expected, abs=0.05)


@MODELS
def test_mixed_precision_lowers_the_loss(model, fitted):
    _, _, losses = fitted(model, DEVICE, enable_amp=True, enable_scaler=True, epochs=8)
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_clip_encodes_texts_as_on_the_processor():
    torch.manual_seed(0)
    texts = ["a red dress", "black trainers with a white sole", "", "a dress " * 50]
    model = open_clip.create_model("RN50", pretrained=None).eval()
    tokenizer = open_clip.get_tokenizer("RN50")
    expected = model.encode_text(tokenizer(texts), normalize=True).detach().numpy()

    tower = TextTower(
        model, tokenizer, DEVICE, lambda *_: tqdm(disable=True), packed=False
    )
    np.testing.assert_allclose(tower.encode(texts, 64), expected, atol=1e-4)
