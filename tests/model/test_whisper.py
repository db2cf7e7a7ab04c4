"""Whisper on the dozen requests, beside one text at a time."""

import pytest
import torch
import torch.nn.functional as F
from close import assert_close_relative
from recbole.data.interaction import Interaction
from recbole.utils import get_model, get_trainer, init_seed
from tiny import write_tiny

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model import whisper

ITEMS = {
    "i1": "Red dress",
    "i2": "Blue shoes",
    "i3": "White dress for a wedding, long",
    "i4": "Coat",
    "i5": "Flat shoes",
    "i6": "Blue coat",
    "i7": "warm",
    "i8": "long long sleeve",
    "i9": "heels",
}


@pytest.fixture
def built(tmp_path, prepare):
    data_path = write_tiny(tmp_path, items=ITEMS)
    given = {"hidden_size": 5, "encoder_dim": 4, "show_progress": False, "epochs": 3}
    config, dataset, loaders = prepare("Whisper", data_path, **given)
    return config, dataset, loaders, get_model("Whisper")(config, loaders[0]._dataset)


def by_hand(tower, text):
    """A text alone, unpacked: last state forwards, first state backwards."""
    states = tower.states[tower.begin[text] : tower.begin[text + 1]].float()
    out, _ = tower.lstm(states[None])
    size = tower.lstm.hidden_size
    return F.normalize(torch.cat([out[0, -1, :size], out[0, 0, size:]]), dim=0)


@pytest.mark.parametrize("step", [2, 1024])
def test_a_text_in_a_batch_is_read_as_if_alone(built, monkeypatch, step):
    monkeypatch.setattr(whisper, "_TEXTS_PER_STEP", step)
    for tower in (built[3].request_tower, built[3].item_tower):
        n_texts = len(tower.begin) - 1
        length = tower.begin.diff()
        assert length[0] == 1 and len(length.unique()) > 2
        alone = torch.stack([by_hand(tower, text) for text in range(n_texts)])
        assert_close_relative(tower.embed_all(), alone)
        order = torch.tensor([3, 1, 3, 0, n_texts - 1])
        assert_close_relative(tower(order), alone[order])


def test_loss_is_the_cosine_embedding_loss(built):
    *_, model = built
    model.loss.margin = 0.1
    request, item = torch.tensor([1, 1, 2, 3]), torch.tensor([1, 4, 2, 5])
    label = torch.tensor([1.0, 0.0, 1.0, 0.0])
    expected = 0
    for r, i, chosen in zip(request, item, label):
        cosine = by_hand(model.request_tower, r) @ by_hand(model.item_tower, i)
        expected += 1 - cosine if chosen else max(cosine - 0.1, torch.tensor(0.0))
    fields = {"request": request, "item_id": item, "label": label}
    loss = model.calculate_loss(Interaction(fields))
    assert_close_relative(loss, expected / 4)


@torch.no_grad()
def test_one_item_scores_as_in_the_full_catalogue(built):
    _, dataset, (_, _, test), model = built
    units, n_items = test.query_feat, dataset.item_num
    full = model.eval().full_sort_predict(units)
    rows = units.repeat_interleave(n_items)
    rows.update(Interaction({"item_id": torch.arange(n_items).repeat(len(units))}))
    assert_close_relative(model.predict(rows), full)


def test_training_lowers_the_loss_and_evaluation_sees_it(built):
    config, _, (train, valid, test), model = built
    config["learning_rate"], config["epochs"] = 0.02, 30
    init_seed(1, True)
    trainer = get_trainer(config["MODEL_TYPE"], "Whisper")(config, model)
    before = model.eval().item_tower.embed_all().detach().clone()
    trainer.fit(train, valid)
    losses = list(trainer.train_loss_dict.values())
    assert losses[-1] < 0.7 * losses[0]
    trainer.evaluate(test)
    assert (model.item_tower.embed_all() - before).abs().max() > 0.1


def test_without_negatives_it_does_not_start(tmp_path, prepare):
    data_path = write_tiny(tmp_path, items=ITEMS)
    config, _, (train, _, _) = prepare("Whisper", data_path, train_neg_sample_args=None)
    with pytest.raises(UserError, match="learns from negatives"):
        get_model("Whisper")(config, train._dataset)
