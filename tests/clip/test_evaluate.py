import json

import numpy as np
import pytest
from squares import COLOURS

from recbole_whisperlite.clip.evaluate import evaluate, truth_of_captions
from recbole_whisperlite.clip.sources import read_catalogue
from recbole_whisperlite.errors import UserError


@pytest.fixture
def catalogue(photos):
    return read_catalogue(photos)


def truth_of(colours=tuple(COLOURS)):
    return {colour: {f"{colour}-{n}": 1 for n in range(3)} for colour in colours}


def test_a_model_that_knows_the_colours_is_right(clip, catalogue):
    labels = [id_[:-2] for id_ in catalogue.ids]
    found = evaluate(clip, catalogue, truth_of(), labels)
    assert found["text_to_image"]["MAP"]["value"] == 1
    assert found["text_to_image"]["recall@1"]["value"] == pytest.approx(1 / 3)
    assert found["text_to_image"]["recall@1"]["chance"] == pytest.approx(1 / 12)
    assert found["image_to_text"]["recall@1"] == {
        "value": 1,
        "chance": pytest.approx(1 / 4),
    }
    assert found["category"]["precision@1"] == {
        "value": 1,
        "chance": pytest.approx(1 / 4),
    }
    assert found["counts"]["pictures"] == 12 and found["counts"]["queries"] == 4


def test_figures_are_those_of_a_plain_ranking(clip, catalogue):
    truth = {"red": {"blue-0": 1, "red-1": 2}, "a green thing": {"yellow-2": 1}}
    found = evaluate(clip, catalogue, truth)["text_to_image"]
    vectors, _ = clip.encode_pictures(catalogue.pictures)
    reciprocal = []
    for query, gains in truth.items():
        scores = vectors @ clip.encode_texts([query])[0]
        ranked = [catalogue.ids[row] for row in np.argsort(-scores)]
        reciprocal.append(1 / (1 + min(ranked.index(id_) for id_ in gains)))
    assert found["MRR"]["value"] == pytest.approx(np.mean(reciprocal))


def test_what_is_not_there_is_left_out_and_counted(clip, photos, catalogue, caplog):
    (photos / "red-0.png").write_bytes(b"broken")
    truth = {**truth_of(), "a hat": {"hat-1": 1}, "a shoe": {"red-0": 0, "blue-0": 0}}
    found = evaluate(clip, catalogue, truth)["counts"]
    assert found == {
        "pictures": 11,
        "pictures_left_out": 1,
        "queries": 4,
        "queries_left_out": 2,
        "ids_left_out": 2,
    }
    assert "2 ids are not in" in caplog.text and "'hat-1'" in caplog.text
    with pytest.raises(
        UserError, match="No query of the ground truth has a relevant picture"
    ):
        evaluate(clip, catalogue, {"a hat": {"hat-1": 1}})


def test_a_truth_of_other_ids_is_told_before_anything_is_encoded(catalogue):
    with pytest.raises(UserError, match="look like 'blue-0', .* like '7'"):
        evaluate(None, catalogue, {"red": {"7": 1, "red-0": 0}})


def test_captions_make_a_truth_and_equal_ones_share_it(photos):
    (photos / "list.csv").write_text(
        "image,caption\nred-0.png,red\nred-1.png,red\nblue-0.png,blue\nblue-1.png,\n"
    )
    truth = truth_of_captions(read_catalogue(photos / "list.csv"), ["caption"])
    assert truth == {"red": {"red-0": 1, "red-1": 1}, "blue": {"blue-0": 1}}


def test_the_command_prints_a_table_and_writes_json(run, flags, photos, tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(truth_of()))
    output = tmp_path / "result.json"
    argv = ["--data", photos, "--ground_truth", tmp_path / "truth.json"]
    status, out, err = run("evaluate", *flags, *argv, "--output", output)
    assert status == 0, err
    result = json.loads(output.read_text())
    assert result["text_to_image"]["MAP"]["value"] == 1
    assert result["encoder"] == "colours" and result["fingerprint"]
    line = next(line for line in out.splitlines() if "nDCG@10" in line)
    assert line.split()[-2] == "1.0000"
    assert any(line.split()[-2:] == ["value", "chance"] for line in out.splitlines())


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ("{}", "at least one query"),
        ("[1]", "at least one query"),
        ('{"red": ["red-0"]}', "numbers from 0 to 1e9"),
        ('{"red": {"red-0": "yes"}}', "numbers from 0 to 1e9"),
        ('{"red": {"red-0": -1}}', "numbers from 0 to 1e9"),
        ('{"red": {"red-0": 1' + "0" * 400 + "}}", "numbers from 0 to 1e9"),
        ('{" ": {"red-0": 1}}', "query 1 is empty"),
        ('{"red": {"7": 1}}', "those of the relevant pictures look like '7'"),
    ],
)
def test_a_wrong_truth_is_told(run, flags, photos, tmp_path, content, message):
    path = tmp_path / "truth.json"
    if content is not None:
        path.write_text(content)
    output = tmp_path / "result.json"
    argv = ["--data", photos, "--ground_truth", path, "--output", output]
    status, _, err = run("evaluate", *flags, *argv)
    assert status == 2 and message in err, err
    assert "Traceback" not in err and not output.exists()


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "Give the ground truth"),
        (["--caption_column=title"], "only pictures|nothing but pictures|no column"),
        (["--caption_column=a", "--labels=b.csv"], "--labels needs --label_column"),
        (["--caption_column=a", "--output=/proc/none/a.json"], "cannot be written"),
        (["--caption_column=a", "--data=none"], "does not exist"),
    ],
)
def test_mistakes_are_told_in_one_line(run, flags, photos, argv, message):
    import re

    status, _, err = run("evaluate", *flags, "--data", photos, *argv)
    assert status == 2 and re.search(message, err), err
    assert "Traceback" not in err
