"""An exported model answers as RecBole's model does, and stands on its own."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from recbole.quick_start import run_recbole
from recbole.utils import get_model

from recbole_whisperlite.cli import main
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.export.model import export_model, load
from recbole_whisperlite.model.whisperliteplus import BY_FREQUENCY, WEIGHTS
from recbole_whisperlite.recommend.plus_scorer import TERMS
from recbole_whisperlite.recommend.recommender import Recommender

from exported_shop import assert_same_scores, queries
from switches import SWITCHES

LETTERS = """
import numpy as np
from recbole_whisperlite.encoder.base import Encoder, unit_rows


class Letters(Encoder):
    def __init__(self, config, fit_texts):
        super().__init__(config, fit_texts)
        self.letters = sorted(set("".join(fit_texts)))

    def fingerprint(self):
        return {"letters": self.letters}

    def encode(self, texts):
        counts = [[text.count(letter) for letter in self.letters] for text in texts]
        return unit_rows(np.array(counts, dtype=np.float32))
"""


@pytest.mark.parametrize(
    "name", ["WhisperLite", "Whisper", "ZeroShot", "BM25", "RequestPop", "LateFusion"]
)
def test_every_model_that_can_score_a_text_scores_as_in_recbole(exported, name):
    assert_same_scores(*exported(name))


@pytest.mark.parametrize("parts", [["EASE", "SLIMElastic", "ZeroShot"]])
def test_late_fusion_of_other_parts(exported, parts):
    assert_same_scores(*exported("LateFusion", fusion_models=parts))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        *({name: False} for name in (*SWITCHES, "use_similar_requests")),
        *({**dict.fromkeys(SWITCHES, False), name: True} for name in SWITCHES),
        dict.fromkeys(SWITCHES, False),
        {"refusal_strength": 0.5, "MAX_ITEM_LIST_LENGTH": 2, "neighbor_num": 3},
        {"normalize": False, "temperature": 0.5, "mlp_hidden_size": []},
        {"encoder": ["whisperlite-mini", "tfidf"]},
    ],
    ids=lambda settings: str(settings)[:60],
)
def test_every_switch_of_whisperliteplus(exported, settings):
    assert_same_scores(*exported("WhisperLitePlus", **settings))


@pytest.mark.parametrize("sign", [1, -1])
def test_fitted_weights_of_either_sign_are_those_of_the_export(
    exported, tmp_path, sign
):
    model, test_data, trained = exported("WhisperLitePlus")
    assert model.term_names == [*WEIGHTS]
    of_words = {"meant", "avoided"}
    assert [each for each in WEIGHTS if each not in of_words] == [
        each for each in TERMS if each != "refused_words"
    ]
    weights = sign * torch.linspace(-1, 1.7, len(WEIGHTS))
    of_frequent = [name in BY_FREQUENCY for name in WEIGHTS]
    model.fitted_weight.copy_(weights)
    model.fitted_weight[1] += 0.8 * torch.tensor(of_frequent)
    model.fitted_weight[2] -= 0.7
    export_model(test_data.config, model, test_data, None, None, tmp_path / "fitted")
    shop = Recommender.load(tmp_path / "fitted")
    assert_same_scores(model, test_data, shop)
    # each part says something
    texts = test_data._dataset.request_texts[1:37]
    users = [f"u{n % 12}" for n in range(36)]
    answers = shop.recommend(list(texts), users, k=30, exclude_seen=False)
    parts = [each.parts for answer in answers for each in answer]
    assert len(parts) == 1080 and len(parts[0]) == 10
    for name in parts[0]:
        assert len({round(each[name], 3) for each in parts}) > 3, name


def test_items_that_are_added_score_as_in_a_checkpoint_that_finds_them(shop_data):
    settings = {"encoder": "tfidf", "epochs": 1, "state": "ERROR", "neighbor_num": 3}
    settings |= {"data_path": str(shop_data), "export": "model"}
    run_recbole(model="WhisperLitePlus", dataset="shop", config_dict=settings)
    (checkpoint,) = Path("saved").glob("*.pth")
    shop = Recommender.load("model")
    new = [
        ("i30", "red woollen hat", "", 5, "wear"),
        # the words of i9
        ("i31", "blue coat", "blue coat for you", 6, "coat wear"),
        ("i32", "white boots", "for the winter", 7, ""),
    ]
    with open(shop_data / "shop/shop.item", "a") as file:
        file.writelines("\t".join(map(str, item)) + "\t\n" for item in new)
    with open(shop_data / "shop/shop.inter", "a") as file:
        for n, item in enumerate(["i30", "i31", "i2", "i32", "i5"]):
            file.write(f"u3\t{item}\tn{n}\t{1000 + n}\n")
    with open(shop_data / "shop/shop.request", "a") as file:
        file.writelines(f"n{n}\ta white coat, no hat\n" for n in range(5))
    columns = ("item_id", "title", "description", "price", "kinds")
    shop.add_items([dict(zip(columns, item)) for item in new])
    assert shop.similar("i31", k=1)[0].item == "i9"
    _, model, _, _, _, test_data = load(checkpoint)
    *_, histories = queries(model, test_data)
    assert any({"i30", "i31"} <= {*history} for history in histories)
    assert_same_scores(model, test_data, shop)


@pytest.mark.parametrize("use_text", [True, False])
def test_pictures(exported, use_text):
    settings = {"encoder": "whisperlite-mini", "use_image": True, "use_text": use_text}
    model, test_data, shop = exported("WhisperLite", **settings)
    assert_same_scores(model, test_data, shop)
    # a picture finds the product that it shows
    picture = shop.recommend("a coat", k=1, among=["i7"])[0].picture
    found, second = shop.recommend(image=picture, k=2)
    assert found.item == "i7" and found.score > second.score
    scale = float(model.logit_scale.exp())
    assert found.parts["picture"] == pytest.approx(scale, rel=1e-3)  # a cosine of 1
    both = shop.recommend("a red dress", image=picture, k=30)
    text = {each.item: each.score for each in shop.recommend("a red dress", k=30)}
    alone = {each.item: each.score for each in shop.recommend(image=picture, k=30)}
    for each in both:
        assert each.score == pytest.approx(text[each.item] + alone[each.item], abs=1e-4)


def test_what_readme_asks_runs_as_it_stands(exported, tmp_path, capsys, monkeypatch):
    exported("WhisperLite")
    (tmp_path / "WhisperLite-model").rename(tmp_path / "shop-model")
    monkeypatch.chdir(tmp_path)
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (code,) = re.findall(
        r"```python\n(from recbole_\w+ import Recomm.*?)```", readme, re.S
    )
    assert len([line for line in code.splitlines() if line]) < 10
    # this model is not trained, and orders products at random
    exec(code.replace("k=20", "k=31"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6 and "new-1" in printed[-1]
    assert len(Recommender.load("my-shop")) == 31


def test_it_needs_neither_recbole_nor_torch_nor_the_data(exported, shop_data):
    _, _, shop = exported("WhisperLitePlus")
    expected = [found.item for found in shop.recommend("a red hat", user="u3")]
    shutil.rmtree(shop_data)
    code = (
        "import sys; from recbole_whisperlite import Recommender\n"
        "shop = Recommender.load('WhisperLitePlus-model')\n"
        "print([found.item for found in shop.recommend('a red hat', user='u3')])\n"
        "assert not {'recbole', 'torch'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == str(expected), done.stderr


def test_a_user_is_asked_for_with_the_whole_history(exported):
    _, test_data, shop = exported("WhisperLitePlus")
    dataset = test_data._dataset
    user, _, item, _ = dataset._raw
    of_u3 = item[user == dataset.token2id("user_id", "u3")]
    seen = {dataset.id2token("item_id", each) for each in of_u3}
    assert len(seen) > 3
    answer = shop.recommend("a red hat", user="u3", k=30)
    assert {found.item for found in answer} == {f"i{n}" for n in range(30)} - seen
    everything = shop.recommend("a red hat", user="u3", k=30, exclude_seen=False)
    assert len(everything) == 30


def test_without_users_nothing_of_them_is_in_the_folder(exported, tmp_path):
    _, _, shop = exported("WhisperLitePlus", with_users=False)
    assert not (tmp_path / "WhisperLitePlus-model" / "users.parquet").exists()
    answer = shop.recommend("a red hat", user="u3", k=30)
    assert len(answer) == 30 and "without users" in answer.notes[0]
    assert "Users: none" in (tmp_path / "WhisperLitePlus-model/README.md").read_text()


def test_model_card_and_config_say_where_it_comes_from(exported, tmp_path):
    _, test_data, shop = exported("WhisperLite", seed=7)
    card = (tmp_path / "WhisperLite-model" / "README.md").read_text("utf-8")
    meta = yaml.safe_load(card.split("---")[1])
    assert meta["library_name"] == "recbole-whisperlite"
    assert test_data.fingerprint in card and "| ndcg@10 | 0.5000 | 0.5000 |" in card
    assert "seed: 7" in card and "Licence" in card and "## Limits" in card
    assert shop.about["fingerprint"]["test"] == test_data.fingerprint
    assert shop.about["settings"]["encoder_dim"] == 16
    # no file can hold code
    endings = {path.suffix for path in (tmp_path / "WhisperLite-model").iterdir()}
    assert endings == {".json", ".md", ".npy", ".npz", ".parquet", ".safetensors"}


def test_precomputed_vectors_answer_for_their_own_requests_only(exported, shop_data):
    texts = sorted({r.split("\t")[1] for r in _lines(shop_data / "shop/shop.request")})
    ids = [line.split("\t")[0] for line in _lines(shop_data / "shop/shop.request")]
    items = [line.split("\t")[0] for line in _lines(shop_data / "shop/shop.item")]
    draw = np.random.default_rng(0)
    for side, names in (("request", ids), ("item", items)):
        vectors = draw.normal(size=(len(names), 6)).astype(np.float32)
        np.savez(f"{side}.npz", ids=np.array(names), vectors=vectors)
    files = {f"{side}_vectors_file": f"{side}.npz" for side in ("request", "item")}
    model, test_data, shop = exported("WhisperLite", encoder="precomputed", **files)
    assert_same_scores(model, test_data, shop)
    assert texts
    with pytest.raises(UserError, match="'a purple hat' is new, and .* precomputed"):
        shop.recommend("a purple hat")


def test_a_custom_encoder_is_imported_only_if_that_is_allowed(
    exported, write_module, tmp_path
):
    write_module("letters", LETTERS)
    with pytest.raises(UserError, match="own_code=True"):
        exported("WhisperLite", encoder="letters:Letters")
    shop = Recommender.load(tmp_path / "WhisperLite-model", own_code=True)
    assert len(shop.recommend("a red hat")) == 10


def test_a_checkpoint_is_asked_like_its_export(shop_data, tmp_path):
    settings = {"encoder": "tfidf", "epochs": 1, "state": "ERROR"}
    settings |= {"data_path": str(shop_data), "export": str(tmp_path / "model")}
    run_recbole(model="WhisperLitePlus", dataset="shop", config_dict=settings)
    (checkpoint,) = Path("saved").glob("*.pth")
    of_folder, of_checkpoint = map(Recommender.load, (tmp_path / "model", checkpoint))
    for shop in (of_folder, of_checkpoint):
        found = shop.recommend("a blue scarf, no heels", user="u5", k=30)
        assert found.ruled_out == "heels" and shop.about["test"]["ndcg@10"] > 0
    again = of_folder.recommend("a blue scarf, no heels", user="u5", k=30)
    assert [each.item for each in found] == [each.item for each in again]
    with pytest.raises(UserError, match="save it first"):
        of_checkpoint.push("me/shop")
    of_checkpoint.save(tmp_path / "other")
    assert len(Recommender.load(tmp_path / "other")) == 30


def test_the_command_exports_and_uploads_in_private(shop_data, monkeypatch, capsys):
    settings = {"encoder": "tfidf", "epochs": 1, "state": "ERROR"}
    settings["data_path"] = str(shop_data)
    run_recbole(model="WhisperLite", dataset="shop", config_dict=settings)
    (checkpoint,) = Path("saved").glob("*.pth")
    uploaded = []
    monkeypatch.setattr(
        "recbole_whisperlite.recommend.hub.upload",
        lambda *given: uploaded.append(given) or "https://hub/me/shop",
    )
    flags = ["--output=model", "--without-users", "--push=me/shop"]
    assert main(["export", f"--checkpoint={checkpoint}", *flags]) == 0
    assert uploaded == [(Path("model").resolve(), "me/shop", True, None)]
    assert "uploaded to https://hub/me/shop" in capsys.readouterr().out
    shop = Recommender.load("model")
    assert shop.about["test"]["ndcg@10"] > 0  # measured again
    assert "no users" in repr(shop)
    # over a folder of something else nothing is written
    Path("notes").mkdir()
    Path("notes/plan.txt").write_text("buy milk")
    assert main(["export", f"--checkpoint={checkpoint}", "--output=notes"]) == 2
    assert [path.name for path in Path("notes").iterdir()] == ["plan.txt"]
    assert "not an exported model" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["WhisperLitePlus", "LateFusion", "BM25"])
def test_what_came_after_the_training_is_in_the_export_of_its_checkpoint(
    model, shop_data
):
    settings = {"encoder": "tfidf", "epochs": 1, "state": "ERROR"}
    settings["data_path"] = str(shop_data)
    run_recbole(model=model, dataset="shop", config_dict=settings)
    (checkpoint,) = Path("saved").glob("*.pth")
    before = Recommender.load(checkpoint)
    with open(shop_data / "shop/shop.item", "a") as file:
        file.write("i30\tred woollen hat\t\t5\twear\t\n")
    with open(shop_data / "shop/shop.inter", "a") as file:
        file.write("u3\ti30\t\t1000\n")
    after = Recommender.load(checkpoint)
    old = [f"i{n}" for n in range(30)]
    history = ["i1", "i2"]
    for request in ("a red hat", "something new"):
        scores = [
            {
                each.item: each.score
                for each in shop.recommend(
                    request, history=history, k=30, among=old, exclude_seen=False
                )
            }
            for shop in (before, after)
        ]
        assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    new = after.recommend("woollen", k=31, history=[], among=["i30"])
    assert np.isfinite(new[0].score)


@pytest.mark.parametrize("model", ["BPR", "SASRec"])
def test_a_model_that_reads_no_request_is_refused(exported, model):
    with pytest.raises(UserError, match=f"{model} cannot be exported. Models that can"):
        exported(model)


def test_late_fusion_with_trained_ids_is_refused(exported):
    with pytest.raises(UserError, match="BPR cannot be exported"):
        exported("LateFusion", fusion_models=["RequestPop", "BPR", "BM25"])


def _lines(path):
    return path.read_text("utf-8").splitlines()[1:]


def test_a_dataset_without_requests_has_nothing_to_ask(prepare, shop_data, tmp_path):
    (shop_data / "shop/shop.request").unlink()
    config, _, (train_data, _, test_data) = prepare("BPR", shop_data, dataset="shop")
    model = get_model("BPR")(config, train_data._dataset)
    with pytest.raises(UserError, match="'shop' has no requests"):
        export_model(config, model, test_data, None, None, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_checkpoint_finds_data_that_moved(shop_data, tmp_path, capsys):
    settings = {"encoder": "tfidf", "epochs": 1, "state": "ERROR"}
    run_recbole(
        model="WhisperLite",
        dataset="shop",
        config_dict={**settings, "data_path": str(shop_data)},
    )
    (checkpoint,) = Path("saved").glob("*.pth")
    moved = shop_data.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="no dataset 'shop'"):
        Recommender.load(checkpoint)
    assert len(Recommender.load(checkpoint, data_path=moved)) == 30
    flags = [f"--checkpoint={checkpoint}", f"--data_path={moved}", "--output=judged"]
    assert main(["export", "qrels", *flags]) == 0


def test_a_request_that_rules_out_is_noted_by_a_model_that_does_not_see_it(exported):
    _, _, shop = exported("WhisperLite")
    assert "'heels' is ruled out" in shop.recommend("a hat, no heels").notes[0]
    assert shop.recommend("a hat").notes == ()
    _, _, plus = exported("WhisperLitePlus")
    assert plus.recommend("a hat, no heels").notes == ()


@pytest.mark.parametrize("content", [b"", b"xx", b"PK\x03\x04" + 99 * b"x", b"{}\n"])
def test_a_file_that_is_no_checkpoint_is_refused(content):
    Path("fake.pth").write_bytes(content)
    with pytest.raises(UserError, match="fake.pth is no checkpoint, or damaged"):
        Recommender.load("fake.pth")


def test_pictures_that_are_elsewhere_are_told_of(exported, tmp_path, caplog):
    exported("WhisperLite")
    (tmp_path / "WhisperLite-model").rename(tmp_path / "moved")
    (tmp_path / "data").rename(tmp_path / "other")
    shop = Recommender.load("moved")
    assert "--pictures" in caplog.text
    caplog.clear()
    shop = Recommender.load("moved", pictures=tmp_path / "other" / "shop")
    assert not caplog.text
    assert Path(shop.recommend("x", among=["i1"])[0].picture).is_file()
