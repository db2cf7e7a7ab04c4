import csv

import numpy as np
import pytest
from squares import COLOURS, square

from recbole_whisperlite.clip import index as index_module
from recbole_whisperlite.clip.index import Index, build_index, load_index
from recbole_whisperlite.clip.retrieve import name_of, retrieve
from recbole_whisperlite.clip.sources import read_catalogue
from recbole_whisperlite.encoder.base import unit_rows
from recbole_whisperlite.encoder.clip import load_clip
from recbole_whisperlite.errors import UserError


@pytest.fixture
def index(clip, photos):
    return build_index(clip, read_catalogue(photos))


def found(index, hits, query=0):
    return [index.ids[row] for row in hits.rows[query]]


def unit_vectors(n, dim=16, seed=0):
    rng = np.random.RandomState(seed)
    return unit_rows(rng.standard_normal((n, dim)).astype(np.float32))


def test_texts_find_pictures_with_their_cosines(clip, index):
    hits = retrieve(clip, index, texts=list(COLOURS), k=3)
    for query, colour in enumerate(COLOURS):
        assert {id_[:-2] for id_ in found(index, hits, query)} == {colour}
    vectors = clip.encode_texts(list(COLOURS))
    expected = np.sort(vectors @ index.vectors.T, axis=1)[:, :-4:-1]
    np.testing.assert_allclose(hits.scores, expected, atol=1e-5)


def test_text_vectors_have_length_1_so_that_scores_are_cosines(clip, index):
    hits = retrieve(clip, index, texts=["red", "green " * 9], k=len(index))
    assert np.abs(hits.scores).max() <= 1 + 1e-5
    lengths = np.linalg.norm(index.vectors, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_a_picture_finds_itself_and_its_like(clip, index, photos):
    hits = retrieve(
        clip, index, pictures=[photos / "green-1.png"], k=3, keep_query=True
    )
    assert found(index, hits)[0] == "green-1"
    assert {id_[:-2] for id_ in found(index, hits)} == {"green"}
    assert hits.scores[0, 0] == pytest.approx(1, abs=1e-5)
    of_image = retrieve(clip, index, pictures=[square("green", 3, 4)], k=3)
    assert {id_[:-2] for id_ in found(index, of_image)} == {"green"}


def test_picture_and_text_together_are_the_sum_of_their_unit_vectors(
    clip, index, photos
):
    picture = photos / "red-0.png"
    image, _ = clip.encode_pictures([picture])
    text = clip.encode_texts(["blue"])
    for weight in (0.5, 0.8):
        hits = retrieve(clip, index, ["blue"], [picture], 5, weight, keep_query=True)
        query = unit_rows(weight * text + (1 - weight) * image)
        expected = np.sort((query @ index.vectors.T)[0])[:-6:-1]
        np.testing.assert_allclose(hits.scores[0], expected, atol=1e-5)
    only_text = retrieve(clip, index, ["blue"], [picture], 3, text_weight=1)
    assert {id_[:-2] for id_ in found(index, only_text)} == {"blue"}


def test_one_picture_goes_with_every_text(clip, index, photos):
    hits = retrieve(clip, index, ["blue", "red"], [photos / "red-0.png"], k=2)
    assert len(hits.rows) == 2
    assert name_of(hits.queries[1]).endswith("red-0.png + red")
    with pytest.raises(UserError, match="3 texts and 2 pictures"):
        retrieve(clip, index, ["a", "b", "c"], [photos / "red-0.png"] * 2)


def test_blocks_do_not_change_what_is_found(monkeypatch):
    vectors, queries = unit_vectors(50), unit_vectors(7, seed=1)
    index = Index([str(i) for i in range(50)], vectors, [""] * 50, [""] * 50, {})
    whole = index.search(queries, 9)
    monkeypatch.setattr(index_module, "_SCORES_A_BLOCK", 100)
    blocks = index.search(queries, 9)
    np.testing.assert_array_equal(whole[0], blocks[0])
    expected = np.argsort(-(queries @ vectors.T), axis=1)[:, :9]
    np.testing.assert_array_equal(whole[0], expected)


def test_no_dimension_is_taken_for_granted():
    vectors = unit_vectors(6, dim=3)
    index = Index(list("abcdef"), vectors, [""] * 6, [""] * 6, {})
    rows, scores = index.search(vectors[2:3], 100)
    assert rows.shape == (1, 6) and rows[0, 0] == 2


def test_products_go_by_texts_or_by_both(clip, photos):
    lines = [f"{c}-{n}.png,{c}" for c in COLOURS for n in range(3)]
    (photos / "list.csv").write_text("image,colour\n" + "\n".join(lines))
    catalogue = read_catalogue(photos / "list.csv")
    of_texts = build_index(clip, catalogue, of="texts")
    names = clip.encode_texts([c for c in COLOURS for _ in range(3)])
    np.testing.assert_allclose(of_texts.vectors, names, atol=1e-5)
    of_both = build_index(clip, catalogue, of="both")
    of_pictures = build_index(clip, catalogue)
    expected = unit_rows(names + of_pictures.vectors)
    np.testing.assert_allclose(of_both.vectors, expected, atol=1e-5)
    assert of_pictures.texts[0] == "red"


def test_broken_pictures_are_skipped_and_named(clip, photos, caplog):
    (photos / "green-0.png").write_bytes(b"not a picture")
    (photos / "red-1.png").write_bytes((photos / "red-1.png").read_bytes()[:40])
    index = build_index(clip, read_catalogue(photos))
    assert len(index) == 10 and not {"green-0", "red-1"} & set(index.ids)
    assert "2 of 12 pictures" in caplog.text and "green-0.png" in caplog.text


def test_a_product_whose_picture_is_broken_goes_by_its_text(clip, photos):
    (photos / "red-0.png").write_bytes(b"")
    (photos / "list.csv").write_text("image,name\nred-0.png,red\nblue-0.png,blue\n,a\n")
    index = build_index(clip, read_catalogue(photos / "list.csv"), of="both")
    assert len(index) == 3
    expected = clip.encode_texts(["red", "a"])
    np.testing.assert_allclose(index.vectors[[0, 2]], expected, atol=1e-5)


def test_not_one_readable_picture_is_an_error(clip, photos):
    for file in photos.iterdir():
        file.write_bytes(b"x")
    with pytest.raises(UserError, match="none of 12 .* read. .*not a picture"):
        build_index(clip, read_catalogue(photos))


# ---------------------------------------------------------------- saved index


def test_a_saved_index_is_the_index(clip, index, tmp_path):
    index.save(tmp_path / "photos.npz")
    loaded = load_index(tmp_path / "photos.npz", clip)
    assert loaded.ids == index.ids and loaded.pictures == index.pictures
    assert loaded.texts == index.texts and loaded.about == index.about
    np.testing.assert_array_equal(loaded.vectors, index.vectors)


def test_an_index_of_another_encoder_is_refused(clip, index, clip_folder, tmp_path):
    import torch

    index.save(tmp_path / "photos.npz")
    weights = torch.load(clip_folder / "weights.pt", weights_only=True)
    weights["visual.proj"] += 1e-3
    torch.save(weights, tmp_path / "others.pt")
    other = load_clip(
        "open_clip", str(clip_folder / "colours.json"), str(tmp_path / "others.pt")
    )
    with pytest.raises(UserError, match="built with the encoder.*with other weights"):
        load_index(tmp_path / "photos.npz", other)


@pytest.mark.parametrize("content", [b"", b"no zip", None, np.zeros(3)])
def test_what_is_no_index_is_told(clip, tmp_path, content):
    path = tmp_path / "bad.npz"
    if content is None:
        np.savez(path, ids=[1], vectors=[2.0])
    elif isinstance(content, np.ndarray):
        with open(path, "wb") as file:
            np.save(file, content)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match="this is not an index, or it is damaged"):
        load_index(path, clip)
    with pytest.raises(UserError, match="does not exist"):
        load_index(tmp_path / "none.npz", clip)


# ---------------------------------------------------------------- approximate


def large_index(n=3000, approximate=True):
    from recbole_whisperlite.clip.graph import Graph

    vectors = unit_vectors(n, dim=24)
    graph = Graph.build(vectors) if approximate else None
    names = [str(row) for row in range(n)]
    return Index(names, vectors, [""] * n, [""] * n, {"fingerprint": "f"}, graph)


def test_the_graph_finds_nearly_what_is_there():
    pytest.importorskip("usearch")
    queries = unit_vectors(100, dim=24, seed=5)
    rows, scores = large_index().search(queries, 10)
    exact, exact_scores = large_index(approximate=False).search(queries, 10)
    recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(rows, exact)])
    assert recall > 0.97
    assert (np.diff(scores, axis=1) <= 0).all()
    np.testing.assert_allclose(scores[:, 0], exact_scores[:, 0], atol=0.05)
    one, _ = large_index().search(queries[:1], 10)
    assert one.shape == (1, 10)


def test_the_graph_is_saved_beside_its_index(clip, photos, tmp_path, caplog):
    pytest.importorskip("usearch")
    index = build_index(clip, read_catalogue(photos), approximate=True)
    index.save(tmp_path / "photos.npz")
    (graph,) = tmp_path.glob("photos.npz.*.usearch")
    loaded = load_index(tmp_path / "photos.npz", clip, approximate=True)
    queries = clip.encode_texts(["red", "blue"])
    np.testing.assert_array_equal(
        loaded.search(queries, 4)[0], index.search(queries, 4)[0]
    )
    # usearch would crash the process at some of these
    harmed = bytearray(graph.read_bytes())
    harmed[len(harmed) // 2 :] = b"\xff" * (len(harmed) - len(harmed) // 2)
    graph.write_bytes(harmed)
    loaded = load_index(tmp_path / "photos.npz", clip, approximate=True)
    assert "is not the graph that was saved with the index" in caplog.text
    np.testing.assert_array_equal(
        loaded.search(queries, 4)[0], index.search(queries, 4)[0]
    )


def test_a_missing_library_is_named(monkeypatch, photos):
    import sys

    monkeypatch.setitem(sys.modules, "usearch.index", None)
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(UserError, match="recbole-whisperlite.ann"):
        large_index(10)
    # no encoder is asked for vectors before that
    with pytest.raises(UserError, match="recbole-whisperlite.ann"):
        build_index(None, read_catalogue(photos), approximate=True)


def test_a_graph_that_finds_no_room_is_told(tmp_path):
    from recbole_whisperlite.clip.graph import Graph

    class Full:
        def save(self, path):
            open(path, "w").close()
            raise RuntimeError("Failed to serialize into stream")

    with pytest.raises(UserError, match="a.usearch: this cannot be written"):
        Graph(Full()).save(tmp_path / "a.usearch")
    assert not list(tmp_path.iterdir())


def test_a_query_is_not_found_itself_unless_asked(clip, photos, tmp_path):
    (photos / "list.csv").write_text(
        "id,image\n1,red-0.png\n2,red-0.png\n3,red-1.png\n4,blue-0.png\n"
    )
    index = build_index(clip, read_catalogue(photos / "list.csv"))

    def found(pictures, **settings):
        hits = retrieve(clip, index, pictures=pictures, **settings)
        assert (np.diff(hits.scores) <= 0).all()
        return [[index.ids[row] for row in rows] for rows in hits.rows]

    same = photos / ".." / photos.name / "red-0.png"
    assert found([same]) == [["3", "4"]]
    assert sorted(found([same], keep_query=True)[0][:2]) == ["1", "2"]
    # a query that is in the catalogue twice, and one that is not
    blue, red = found([photos / "blue-0.png", photos / "red-0.png"], k=2)
    assert "4" not in blue and len(blue) == 2 and red == ["3", "4"]
    copy = tmp_path / "copy.png"
    copy.write_bytes((photos / "red-0.png").read_bytes())
    assert sorted(found([copy], k=2)[0]) == ["1", "2"]
    hits = retrieve(clip, index, ["blue"], [photos / "red-0.png"], text_weight=0.9)
    assert [index.ids[row] for row in hits.rows[0]] == ["4", "3"]
    with pytest.raises(UserError, match="no product besides .* use --keep_query"):
        alone = build_index(clip, read_catalogue(photos / "red-0.png"))
        retrieve(clip, alone, pictures=[photos / "red-0.png"])


# ---------------------------------------------------------------- command line


def test_the_command_writes_a_table_and_sheets(run, flags, photos, tmp_path):
    table, page = tmp_path / "new" / "found.csv", tmp_path / "found.html"
    query = ["--text", "red", "blue", "--k=2", f"--output={table}", f"--sheet={page}"]
    status, out, err = run("retrieve", *flags, "--data", photos, *query)
    assert status == 0, err
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2"] * 2
    assert rows[0]["query"] == "red" and rows[0]["id"].startswith("red-")
    assert rows[0]["id"] in out and page.stat().st_size > 1000
    assert sorted(path.name for path in table.parent.iterdir()) == ["found.csv"]


def test_the_command_searches_a_saved_index(run, flags, photos, tmp_path):
    index = tmp_path / "photos.npz"
    status, out, _ = run("retrieve", *flags, f"--data={photos}", "--save_index", index)
    assert status == 0 and "index of 12 products" in out
    search = ["--index", index, "--picture", photos / "blue-2.png"]
    status, out, _ = run("retrieve", *flags, *search, "--keep_query")
    assert status == 0 and out.splitlines()[1].split()[2] == "blue-2"
    status, out, _ = run("retrieve", *flags, *search, "--k=20")
    found = [line.split()[2] for line in out.splitlines()[1:]]
    assert status == 0 and len(found) == 11 and "blue-2" not in found


@pytest.mark.parametrize("alias", ["--catalogue", "--pictures", "--images"])
def test_the_names_of_before_still_name_the_input(run, flags, photos, alias):
    status, out, err = run("retrieve", *flags, alias, photos, "--text=red", "--k=1")
    assert status == 0 and out.splitlines()[1].split()[2].startswith("red"), err


TAG = "--clip_pretrained=laion2b_s34b_b79k"


def bad_commands(photos, tmp_path):
    search = ["--data", photos]
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text("\n\n")
    (tmp_path / "plain").write_text("a file")
    (tmp_path / "own.csv").write_text("id,title\n1,red\n")
    return {
        "no catalogue": (["--text=red"], "Say what to search"),
        "no query": (search, "There is no query"),
        "empty query": ([*search, "--text", " "], "query 1 is empty"),
        "blank file": ([*search, f"--texts_file={tmp_path}/blank.txt"], "is empty"),
        "no file": ([*search, "--texts_file=none.txt"], "cannot be read"),
        "no picture": ([*search, "--picture=none.jpg"], "no such file"),
        "no texts": ([*search, "--text=red", "--of=texts"], "but no texts"),
        "bad weight": (
            [*search, "--text=a", f"--picture={photos}/red-0.png", "--text_weight=2"],
            "not between 0 and 1",
        ),
        "empty folder": (["--data", tmp_path / "empty", "--text=a"], "no picture"),
        "bad sheet": ([*search, "--text=red", "--sheet=a.pdf"], ".html page or a .png"),
        "folder is a file": (
            [*search, "--text=red", f"--output={tmp_path}/plain/a.csv"],
            "cannot be written",
        ),
        "output is a folder": ([*search, "--text=a", f"--output={photos}"], "a folder"),
        "unknown encoder": (
            [*search, "--text=a", "--encoder=clipp"],
            "not a CLIP model",
        ),
        "no model": (
            [*search, "--text=a", "--clip_model=", "--clip_pretrained="],
            "needs --clip_model",
        ),
        "unknown device": ([*search, "--text=a", "--device=tpuu"], "no device 'tpuu'"),
        "device without numbers": (
            [*search, "--text=a", "--device=meta"],
            "no device 'meta' here",
        ),
        "model of open_clip, encoder another": (
            [*search, "--text=a", "--encoder=fashion-clip"],
            "is for --encoder open_clip, but the encoder is fashion-clip",
        ),
        "tag of open_clip, encoder another": (
            [*search, "--text=a", "--encoder=fashion-clip", "--clip_model=", TAG],
            "open_clip's tags need --encoder open_clip",
        ),
        "kind of table": ([*search, "--text=a", "--output=a.json"], "a .csv or .tsv"),
        "output is read": (
            [
                f"--data={tmp_path}/own.csv",
                "--text=a",
                f"--output={tmp_path}/own.csv",
            ],
            "the same command reads this file",
        ),
        "two results in one file": (
            [*search, "--text=a", "--output=a.csv", "--save_index=./a.csv"],
            "writes something else to it",
        ),
        "choices of an index": (
            ["--index=a.npz", "--text=a", "--of=texts"],
            "a.npz is already encoded",
        ),
    }


@pytest.mark.parametrize(
    "case",
    [
        "no catalogue",
        "no query",
        "empty query",
        "blank file",
        "no file",
        "no picture",
        "no texts",
        "bad weight",
        "empty folder",
        "bad sheet",
        "folder is a file",
        "output is a folder",
        "unknown encoder",
        "no model",
        "unknown device",
        "device without numbers",
        "model of open_clip, encoder another",
        "tag of open_clip, encoder another",
        "kind of table",
        "output is read",
        "two results in one file",
        "choices of an index",
    ],
)
def test_mistakes_are_told_in_one_line(run, flags, photos, tmp_path, case):
    argv, message = bad_commands(photos, tmp_path)[case]
    status, _, err = run("retrieve", *flags, *argv)
    assert status == 2 and message in err, err
    assert err.startswith("error: ") or "\nerror: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "query", [["--text="], ["--picture=none.jpg"], ["--text=a", "--text_weight=nan"]]
)
def test_a_query_is_looked_at_before_anything_is_written(
    run, flags, photos, tmp_path, query
):
    index = tmp_path / "new" / "photos.npz"
    argv = ["--data", photos, "--save_index", index, *query]
    status, _, err = run("retrieve", *flags, *argv)
    assert status == 2 and "Traceback" not in err
    assert not index.parent.exists()


@pytest.mark.parametrize(
    "option", ["--workers=-1", "--batch_size=0", f"--batch_size={2**80}", "--k=few"]
)
def test_numbers_out_of_range_are_told(run, flags, photos, capsys, option):
    with pytest.raises(SystemExit):
        run("retrieve", *flags, "--data", photos, "--text=red", option)
    assert f"argument {option.split('=')[0]}: " in capsys.readouterr().err


def test_unknown_tasks_are_told(run):
    status, _, err = run("retreive")
    assert status == 2 and "Did you mean 'retrieve'?" in err
    status, out, _ = run()
    assert status == 0 and "ground" in out
