import csv
import json
import zipfile

import numpy as np
import pytest
from sklearn.metrics import f1_score
from squares import COLOURS, square

from recbole_whisperlite.clip import classify as task
from recbole_whisperlite.clip.classify import class_vectors, classify, probabilities
from recbole_whisperlite.errors import UserError


def test_scores_are_the_softmax_at_the_models_own_temperature(clip):
    pictures = [square(colour, 6, 9) for colour in COLOURS]
    result = classify(clip, pictures, list(COLOURS), templates=["{}"])
    vectors, _ = clip.encode_pictures(pictures)
    logits = clip.logit_scale * vectors @ clip.encode_texts(list(COLOURS)).T
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result.scores, expected, atol=1e-5)
    np.testing.assert_allclose(result.scores.sum(axis=1), 1, atol=1e-5)
    assert result.best()[:, 0].tolist() == [0, 1, 2, 3]
    assert result.best(2).shape == (4, 2)


def test_class_vectors_are_unit_means_of_unit_vectors(clip):
    templates = ["{}", "a {} square, {}"]
    found = class_vectors(clip, ["red", "blue"], templates)
    texts = ["red", "a red square, red", "blue", "a blue square, blue"]
    each = clip.encode_texts(texts).reshape(2, 2, -1)
    mean = each.mean(axis=1)
    expected = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_long_text_vectors_do_not_win_by_their_length(clip):
    """Not normalised, the longer vector of two would take every picture."""

    class Stretched:
        logit_scale, logit_bias, name = 10.0, 0.0, "stretched"

        def encode_texts(self, texts, **_):
            return np.array([[1, 0], [0, 1]], dtype=np.float32)

    names = class_vectors(Stretched(), ["a", "b"], ["{}"])
    scores = probabilities(Stretched(), np.array([[0.8, 0.6]]), names)
    assert scores[0, 0] == pytest.approx(1 / (1 + np.exp(-10 * 0.2)), rel=1e-5)


def test_sigmoid_is_for_models_with_a_bias(clip):
    class Siglip:
        logit_scale, logit_bias, name = 10.0, -5.0, "siglip"

    vectors, names = np.array([[1.0, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    found = probabilities(Siglip, vectors, names, "sigmoid")
    np.testing.assert_allclose(found, [[1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))]])
    soft = probabilities(Siglip, vectors, names, "softmax")
    assert soft.sum() == pytest.approx(1)
    with pytest.raises(UserError, match="has none. Use softmax"):
        classify(clip, [square("red", 1, 1)], ["red"], scores="sigmoid")
    with pytest.raises(UserError, match="'max' is not accepted"):
        classify(clip, [square("red", 1, 1)], ["red"], scores="max")


def test_a_broken_picture_gets_no_scores(clip, photos, caplog):
    (photos / "red-0.png").write_bytes(b"GIF89a")
    paths = [photos / "red-0.png", photos / "red-1.png"]
    result = classify(clip, paths, ["red", "blue"])
    assert result.present.tolist() == [False, True]
    assert not result.scores[0].any()
    assert result.scores[1].sum() == pytest.approx(1, rel=1e-5)
    assert "red-0.png" in caplog.text


@pytest.mark.parametrize(
    "classes, templates, message",
    [
        ([], ["{}"], "There is no class"),
        (["red", " "], ["{}"], "class 2 is empty"),
        (["red", "red"], ["{}"], "'red' is given twice"),
        (["red"], [], "There is no template"),
        (["red"], ["a photo"], "it has no {}"),
    ],
)
def test_wrong_classes_are_told(clip, classes, templates, message):
    with pytest.raises(UserError, match=message):
        classify(clip, [square("red", 1, 1)], classes, templates)


def test_measures_are_scikit_learns_and_chance_is_the_commonest():
    truth, guesses = ["a", "a", "b", "c"], ["a", "b", "b", "a"]
    found = task.measure(truth, guesses)
    assert found["accuracy"] == {"value": 0.5, "chance": 0.5}
    # by hand: F1 of a is 1/2, of b 2/3, of c 0, weighted by 2, 1 and 1
    assert found["weighted_f1"]["value"] == pytest.approx((2 / 2 + 2 / 3) / 4)
    expected = f1_score(truth, ["a"] * 4, average="weighted", zero_division=0)
    assert found["weighted_f1"]["chance"] == pytest.approx(expected)


# ---------------------------------------------------------------- command line


@pytest.fixture
def labels(photos, tmp_path):
    lines = [f"{c}-{n}.png,{c}" for c in COLOURS for n in range(3 if c != "red" else 2)]
    path = tmp_path / "labels.csv"
    path.write_text("filename,colour\n" + "\n".join([*lines, "else.png,odd"]))
    return path


def test_the_command_labels_a_folder(run, flags, photos, tmp_path):
    table = tmp_path / "labels.csv"
    argv = ["--data", photos, "--classes", *COLOURS, "--k=2"]
    argv += ["--template={}", "--output", table]
    status, _, err = run("classify", *flags, *argv)
    assert status == 0, err
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    best = [row for row in rows if row["rank"] == "1"]
    assert all(row["id"].startswith(row["label"]) for row in best)
    assert all(row["path"] == str(photos / f"{row['id']}.png") for row in rows)
    assert all(0.25 < float(row["score"]) <= 1 for row in best)


def test_single_pictures_are_labelled_and_named_by_their_path(
    run, flags, photos, tmp_path
):
    table = tmp_path / "labels.csv"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(photos / "blue-1.png", "blue-1.png")
    pictures = [photos / "red-1.png", f"{tmp_path / 'a.zip'}::blue-1.png"]
    argv = ["--classes", *COLOURS, "--template={}", "--output", table]
    for data in (pictures, pictures[:1]):
        status, _, err = run("classify", *flags, "--data", *data, *argv)
        assert status == 0, err
        with open(table, newline="") as file:
            found = [(r["id"], r["path"], r["label"]) for r in csv.DictReader(file)]
        expected = zip(["red-1", "blue-1"], map(str, pictures), ["red", "blue"])
        assert found == list(expected)[: len(data)]
    status, _, err = run("classify", *flags, "--data", photos / "none.png", *argv)
    assert status == 2 and "none.png" in err and "Traceback" not in err


def test_the_command_measures_against_labels(run, flags, photos, labels, tmp_path):
    metrics = tmp_path / "metrics.json"
    truth = ["--labels", labels, "--label_column=colour", "--template={}"]
    truth += ["--metrics", metrics]
    status, out, err = run("classify", *flags, "--data", photos, *truth)
    assert status == 0, err
    assert "11 of 12 pictures have one of 4 labels" in out
    found = json.loads(metrics.read_text())
    assert found["pictures"] == 11 and found["classes"] == 4
    assert found["accuracy"] == {"value": 1.0, "chance": pytest.approx(3 / 11)}
    status, out, _ = run(
        "classify", *flags, "--data", photos, *truth, "--most_frequent=2"
    )
    assert "6 of 12 pictures have one of 2 labels" in out


def test_classes_of_the_file_are_added_to_those_named(run, flags, photos, tmp_path):
    names, table = tmp_path / "names.txt", tmp_path / "labels.csv"
    names.write_text("green\nblue\n")
    argv = ["--classes=red", f"--classes_file={names}", "--k=5", "--output", table]
    status, _, err = run("classify", *flags, "--data", photos, *argv)
    assert status == 0, err
    with open(table, newline="") as file:
        assert {r["label"] for r in csv.DictReader(file)} == {"red", "green", "blue"}
    argv = [f"--classes_file={names}", "--output", names]
    status, _, err = run("classify", *flags, "--data", photos, *argv)
    assert status == 2 and names.read_text() == "green\nblue\n"


@pytest.mark.parametrize(
    "argv, message",
    [
        ([], "There is no class"),
        (["--classes", "red", ""], "class 2 is empty"),
        (["--classes", "red", "red"], "given twice"),
        (["--classes=red", "--template=photo"], "it has no {}"),
        (["--classes=red", "--scores=sigmoid"], "Use softmax"),
        (["--classes=red", "--labels=a.csv"], "need --label_column"),
        (["--label_column=colour", "--labels=none.csv"], "does not exist"),
        (["--label_column=colour"], "no column 'colour'"),
        (["--classes_file=none.txt"], "cannot be read"),
        (["--classes=red", "--output=."], "this is a folder"),
        (["--classes=red", "--encoder=fashion-clp"], "Did you mean 'fashion-clip'?"),
    ],
)
def test_mistakes_are_told_in_one_line(run, flags, photos, argv, message):
    status, _, err = run("classify", *flags, "--data", photos, *argv)
    assert status == 2 and message in err, err
    assert "Traceback" not in err


def test_odd_pictures_are_labelled_and_broken_ones_counted(
    run, flags, tmp_path, caplog
):
    from PIL import Image

    folder = tmp_path / "odd"
    folder.mkdir()
    red = square("red", 5, 5)
    red.convert("CMYK").save(folder / "cmyk.jpg")
    red.convert("P").save(folder / "palette.png")
    Image.fromarray(np.full((32, 32), 40000, np.uint16)).save(folder / "deep.png")
    red.save(folder / "moving.gif", save_all=True, append_images=[square("blue", 5, 5)])
    red.save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:300])
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    table = folder / "found.csv"
    argv = ["--data", folder, "--classes", *COLOURS, "--template={}"]
    argv += ["--output", table]
    status, _, err = run("classify", *flags, *argv)
    assert status == 0, err
    rows = dict(line.split(",")[::3] for line in table.read_text().splitlines()[1:])
    assert rows.keys() == {"cmyk", "palette", "deep", "moving", "whole"}
    assert {rows["cmyk"], rows["palette"], rows["moving"], rows["whole"]} == {"red"}
    assert "3 of 8 pictures" in caplog.text
