"""TwoStage: candidates of the first stage, in the order of the cross-encoder."""

import sys

import numpy as np
import pytest
import torch
from close import assert_close_relative
from fake_cross_encoder import FakeCrossEncoder, install, score
from recbole.utils import get_model, get_trainer
from tiny import CHOICES, REQUESTS, write_tiny

from recbole_whisperlite.errors import UserError

ITEMS = {
    "i1": "red dress",
    "i2": "blue shoes",
    "i3": "a dress",
    "i4": "a red coat",
    "i5": "no heels",
    "i6": "warm coat",
    "i7": "yellow dress",
    "i8": "blue dress",
    "i9": "a very red dress",
}


@pytest.fixture
def build(tmp_path, prepare):
    write_tiny(tmp_path, items=ITEMS)

    def made(**settings):
        given = {"cross_encoder": str(tmp_path), "n_candidates": 3, **settings}
        config, _, loaders = prepare("TwoStage", tmp_path, **given)
        return config, loaders, get_model("TwoStage")(config, loaders[0]._dataset)

    return made


@pytest.mark.parametrize("first_stage", ["BM25", "RequestPop"])
@pytest.mark.parametrize("n_candidates", [1, 3, 100])
def test_candidates_come_first_and_the_rest_keeps_its_order(
    build, monkeypatch, first_stage, n_candidates
):
    install(monkeypatch)
    settings = {"first_stage": first_stage, "n_candidates": n_candidates}
    config, (train, *_), model = build(**settings)
    data = train._dataset
    alone = get_model(first_stage)(model_config(config, first_stage), data)
    requests = torch.arange(1, data.num("request"))
    before = alone.score_catalogue(requests)[:, 1:]
    after = model.score_catalogue(requests)[:, 1:]
    for row, request in enumerate(requests.tolist()):
        n = min(n_candidates, 9)
        best = after[row].argsort(descending=True)
        candidates, rest = best[:n], best[n:]
        # no item of the rest was before a candidate
        if len(rest):
            assert before[row][candidates].min() >= before[row][rest].max()
        expected = [
            score(data.request_texts[request], data.item_texts[item + 1])
            for item in candidates.tolist()
        ]
        assert_close_relative(after[row][candidates], expected)
        # differences within the rest are those of the first stage
        shift = after[row][rest] - before[row][rest]
        assert_close_relative(shift, torch.full_like(shift, shift.mean()), size=10)


def model_config(config, name):
    from recbole.config import Config

    return Config(name, "tiny", config_dict=config.external_config_dict)


def test_a_pair_is_scored_once(build, monkeypatch):
    install(monkeypatch)
    config, (train, valid, test), model = build()
    trainer = get_trainer(config["MODEL_TYPE"], "TwoStage")(config, model)
    trainer.evaluate(test, load_best_model=False)
    pairs = model._cross_encoder[0].pairs
    assert 0 < len(pairs) == len(set(pairs)) <= 3 * len(test.queries)
    n_pairs = len(pairs)
    trainer.evaluate(test, load_best_model=False)
    assert len(pairs) == n_pairs


def test_it_says_what_it_needs(build, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match=r"pip install .*\[sentence_transformers\]"):
        build()
    install(monkeypatch)
    with pytest.raises(UserError, match="set cross_encoder to the folder .*is not set"):
        build(cross_encoder=None)
    with pytest.raises(UserError, match="nowhere is no folder"):
        build(cross_encoder=str(tmp_path / "nowhere"))
    for name in ("BPR", "WhisperLite", "TwoStage"):
        with pytest.raises(UserError, match=f"{name}'; it must be BM25, ZeroShot or"):
            build(first_stage=name)

    class Broken:
        def __init__(self, folder, device):
            raise OSError("no file\nnamed model.safetensors")

    install(monkeypatch, Broken)
    with pytest.raises(UserError, match="cannot load .*no file named model"):
        build()

    class ThreeClasses(FakeCrossEncoder):
        def predict(self, pairs, **_):
            return np.zeros((len(pairs), 3))

    install(monkeypatch, ThreeClasses)
    _, _, model = build()
    with pytest.raises(UserError, match="one score .* gives 3"):
        model.score_catalogue(torch.tensor([1]))


def test_a_real_cross_encoder_decides_the_order(build, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder = tiny_cross_encoder(tmp_path / "cross")
    _, (train, *_), model = build(cross_encoder=str(folder), n_candidates=4)
    data = train._dataset
    texts = [data.request_texts.index(text) for text in ("a red dress", "a warm coat")]
    scores = model.score_catalogue(torch.tensor(texts))[:, 1:]
    reader = sentence_transformers.CrossEncoder(str(folder), device="cpu")
    for row, text in zip(scores, texts):
        best = row.topk(4).indices
        pairs = [(data.request_texts[text], data.item_texts[i + 1]) for i in best]
        expected = reader.predict(pairs)
        assert len(set(expected.tolist())) == 4
        assert_close_relative(row[best], expected)
        assert (np.diff(expected) < 0).all()


def tiny_cross_encoder(folder):
    """A BERT of one layer with random weights, and the words of the dozen requests."""
    import transformers

    texts = [*ITEMS.values(), *(REQUESTS[row[2]] for row in CHOICES)]
    words = sorted({word for text in texts for word in text.lower().split()})
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
        initializer_range=0.5,
        num_labels=1,
    )
    model = transformers.BertForSequenceClassification(config)
    model.save_pretrained(folder)
    return folder
