"""A dataset and its vectors as files that RecBole reads without this package."""

import sys

import numpy as np
import pytest
import yaml

from recbole_whisperlite import cli
from recbole_whisperlite.data.dataset import RequestDatasetMixin
from recbole_whisperlite.data.whisperlite_dataset import WhisperLiteDataset
from recbole_whisperlite.upstream.stock import write_stock
from tiny import REQUESTS, write_tiny


def test_recbole_reads_back_texts_and_vectors(tmp_path, prepare, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["recbole-whisperlite"])
    write_tiny(tmp_path)
    argv = ["--dataset=tiny", f"--data_path={tmp_path}", "--output", "made/shop"]
    argv += ["--encoder=tfidf", "--encoder_dim=6", f"--cache_dir={tmp_path / 'cache'}"]
    assert cli.main(["encode", *argv, "--state=ERROR"]) == 0
    assert "--config_files=" in capsys.readouterr().out
    sys.argv = sys.argv[:1]  # RecBole's Config reads it
    settings = yaml.safe_load((tmp_path / "made/shop/shop.yaml").read_text())
    _, data, _ = prepare("WhisperLite", tmp_path / "made", "shop", **settings)
    assert type(data) is WhisperLiteDataset and not isinstance(
        data, RequestDatasetMixin
    )

    tfidf = {"encoder": "tfidf", "encoder_dim": 6, "cache_dir": str(tmp_path / "cache")}
    _, ours, _ = prepare("WhisperLite", tmp_path, **tfidf)
    texts = {text.strip() for text in data.request_texts}
    assert texts == {text.strip() for text in REQUESTS.values()} | {""}
    assert len(data.inter_feat) == len(ours.inter_feat)
    for side in ("request", "item"):
        found = getattr(data, f"{side}_vectors")()
        expected = getattr(ours, f"{side}_vectors")()
        if side == "request":
            names = [text.strip() for text in data.request_texts]
            row = {text.strip(): n for n, text in enumerate(ours.request_texts)}
        else:
            names = data.field2id_token["item_id"]
            row = ours.field2token_id["item_id"]
        assert expected.any() and found.dtype == np.float32
        rows = [row[name] for name in names]
        np.testing.assert_allclose(found, expected[rows], rtol=1e-6)


def test_preloaded_pictures_are_an_input(tmp_path, prepare):
    write_stock(
        tmp_path / "shop/shop.inter",
        {"user_id": "token", "item_id": "token", "request": "token"},
        [("u1", f"i{n}", "a hat") for n in range(1, 6)],
    )
    write_stock(
        tmp_path / "shop/shop.item",
        {"item_id": "token", "title": "token"},
        [(f"i{n}", f"hat {n}") for n in range(1, 6)],
    )
    write_stock(
        tmp_path / "shop/shop.image_vector",
        {"image_of_vector": "token", "image_vector": "float_seq"},
        [(f"i{n}", f"{n} 0.5") for n in range(1, 5)],  # i5 has no picture
    )
    settings = {
        "load_col": None,
        "additional_feat_suffix": ["image_vector"],
        "preload_weight": {"image_of_vector": "image_vector"},
        "alias_of_item_id": ["image_of_vector"],
        "eval_args": {"split": {"RS": [3, 1, 1]}, "order": "RO", "mode": "full"},
    }
    _, data, _ = prepare("WhisperLite", tmp_path, "shop", **settings)
    vectors, has_image = data.item_image_vectors()
    row = data.token2id("item_id", "i3")
    assert vectors[row].tolist() == [3, 0.5]
    assert has_image.sum() == 4 and not has_image[data.token2id("item_id", "i5")]


def test_what_cannot_be_encoded_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["recbole-whisperlite"])
    argv = ["encode", "--dataset=tiny", f"--data_path={tmp_path}", "--output"]
    assert cli.main([*argv, "full"]) == 2
    assert "full: this folder is not empty" in capsys.readouterr().err
    assert cli.main([*argv, "made", "encoder=tfidf"]) == 2
    assert "'encoder=tfidf' is neither a flag nor a setting" in capsys.readouterr().err
    (tmp_path / "tiny" / "tiny.request").unlink()
    assert cli.main([*argv, "made"]) == 2
    assert "tiny.request" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "text", ['a "red" dress', '"quoted"', "null", "tab\there", "👗"]
)
def test_pandas_reads_what_was_written(tmp_path, text):
    import pandas as pd

    write_stock(tmp_path / "a.inter", {"request": "token"}, [(text,)])
    read = pd.read_csv(tmp_path / "a.inter", delimiter="\t", dtype=str, engine="python")
    assert read["request:token"].tolist()[0].strip() == text.replace("\t", " ")
