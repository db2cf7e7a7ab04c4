"""Pictures and captions are read from wherever they are, and split by group."""

import zipfile

import numpy as np
import pytest

from recbole_whisperlite.clip.pairs import Pairs, read_pairs, readable
from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError
from squares import COLOURS, square

ROWS = [("a", "red", "Red box"), ("b", "blue", "Blue box"), ("c", "blue", "")]
CAPTIONS = ["{title}", "a {colour} {colour:first} thing"]
EXPECTED = [
    ["Red box", "a red red thing"],
    ["Blue box", "a blue blue thing"],
    ["a blue blue thing"],
]


@pytest.fixture
def folder(tmp_path):
    """Pictures and a styles.csv: a.png, b.png, c.png."""
    folder = tmp_path / "things"
    folder.mkdir()
    for id_, colour, _ in ROWS:
        square(colour, 4, 4).save(folder / f"{id_}.png")
    lines = [f"{id_},{colour},{title}\n" for id_, colour, title in ROWS]
    (folder / "styles.csv").write_text("id,colour,title\n" + "".join(lines))
    return folder


def as_csv(folder):
    path = folder.parent / "things.csv"
    lines = [f"{id_},things/{id_}.png,{c},{t}\n" for id_, c, t in ROWS]
    path.write_text("sku,photo,colour,title\n" + "".join(lines))
    return {"path": path, "id_column": "sku", "picture_column": "photo"}


def as_zip(folder):
    path = folder.parent / "things.zip"
    with zipfile.ZipFile(path, "w") as file:
        for member in sorted(folder.iterdir()):
            file.write(member, f"inside/{member.name}")
    return {"path": path}


def as_dataset(folder):
    path = folder.parent / "shop"
    path.mkdir()
    columns = {"item_id": "token", "image": "token", "colour": "token"}
    columns |= {"title": "token_seq", "price": "float"}
    rows = [(id_, f"../things/{id_}.png", c, t, 1.5) for id_, c, t in ROWS]
    write_atomic(path / "shop.item", columns, rows)
    return {"path": path}


@pytest.mark.parametrize(
    "source", [lambda folder: {"path": folder}, as_csv, as_zip, as_dataset]
)
def test_a_folder_a_csv_a_zip_and_a_dataset_give_the_same_pairs(folder, source):
    pairs = read_pairs(**source(folder), captions=CAPTIONS)
    assert pairs.ids == ["a", "b", "c"]
    assert pairs.captions == EXPECTED
    assert len(readable(pairs, show_progress=False)) == 3


def test_without_templates_every_text_column_is_a_caption(folder):
    pairs = read_pairs(folder)
    assert pairs.captions == [["red", "Red box"], ["blue", "Blue box"], ["blue"]]


def test_rows_of_one_picture_are_its_captions(folder):
    path = folder / "captions.csv"
    lines = ["a.png,red", "b.png,blue", "a.png,warm", "a.png,red", "b.png,"]
    path.write_text("image,caption\n" + "\n".join(lines))
    pairs = read_pairs(path)
    assert pairs.ids == ["a", "b"]
    assert pairs.captions == [["red", "warm"], ["blue"]]
    path.write_text("id,image,caption\n1,a.png,red\n1,b.png,blue\n")
    with pytest.raises(UserError, match="id '1' .* two pictures, .*a.png and .*b.png"):
        read_pairs(path)


def test_products_of_one_picture_stay_on_one_side(folder):
    path = folder / "captions.csv"
    lines = [f"{row},{'ab'[row % 2]}.png,thing {row}" for row in range(40)]
    path.write_text("id,image,caption\n" + "\n".join(lines))
    one, other = read_pairs(path).split([0.5], seed=1)
    assert len(one) == len(other) == 20
    assert not set(one.pictures) & set(other.pictures)


def test_products_without_picture_or_caption_are_left_out_and_counted(folder, caplog):
    (folder / "styles.csv").write_text("id,title\na,Red box\nb,\nz,No picture\n")
    assert read_pairs(folder).ids == ["a"]
    assert "2 of 3 products are left out" in caplog.text


def test_what_cannot_be_used_is_named(folder, tmp_path):
    with pytest.raises(UserError, match="no column 'titel'.*Did you mean 'title'"):
        read_pairs(folder, ["{titel}"])
    with pytest.raises(UserError, match="no column 'titel'.*Did you mean 'title'"):
        read_pairs(folder, group="titel")
    with pytest.raises(UserError, match="caption 'a thing' .* no column in braces"):
        read_pairs(folder, ["a thing"])
    (folder / "styles.csv").write_text("id,title\nx,of another shop\n")
    with pytest.raises(UserError, match="none of 3 products has both"):
        read_pairs(folder)
    (folder / "styles.csv").unlink()
    with pytest.raises(UserError, match="there are pictures, but no captions"):
        read_pairs(folder)
    with pytest.raises(UserError, match="this does not exist"):
        read_pairs(tmp_path / "nowhere")


def test_broken_pictures_are_an_error_or_counted(folder, caplog):
    pairs = read_pairs(folder)
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"b\.png.*--missing_image=skip"):
        readable(pairs, show_progress=False)
    assert readable(pairs, "skip", show_progress=False).ids == ["a", "c"]
    assert "1 of 3 pictures are skipped" in caplog.text and "b.png" in caplog.text
    for name in "ac":
        (folder / f"{name}.png").write_text("no picture")
    with pytest.raises(UserError, match="None of 3 pictures can be read"):
        readable(pairs, "skip", show_progress=False)


def many(n_groups):
    """Pairs of which group k has k % 3 + 1 members."""
    groups = [f"g{k}" for k in range(n_groups) for _ in range(k % 3 + 1)]
    ids = [str(row) for row in range(len(groups))]
    return Pairs(ids, ids, [["x"]] * len(ids), groups)


def test_a_split_keeps_groups_whole_and_loses_nothing():
    pairs = many(100)
    parts = pairs.split([0.2, 0.1], seed=1)
    groups = [set(part.groups) for part in parts]
    assert [len(found) for found in groups] == [70, 20, 10]
    assert set.union(*groups) == set(pairs.groups)
    assert sorted(sum((part.ids for part in parts), []), key=int) == pairs.ids
    # and everything else of a pair moves with it
    for part in parts:
        assert all(
            part.groups[i] == pairs.groups[int(k)] for i, k in enumerate(part.ids)
        )


def test_a_split_depends_on_the_seed_and_on_no_order_of_the_pairs():
    pairs = many(50)
    first = pairs.split([0.3], seed=1)[1]
    turned = pairs.select(np.arange(len(pairs))[::-1]).split([0.3], seed=1)[1]
    assert set(first.ids) == set(turned.ids)
    assert set(first.ids) != set(pairs.split([0.3], seed=2)[1].ids)


def test_a_share_of_zero_is_an_empty_part():
    train, valid, test = many(10).split([0, 0.2], seed=0)
    assert (len(valid), len(set(test.groups)), len(set(train.groups))) == (0, 2, 8)


def test_equal_titles_are_one_group_and_no_title_is_none(folder):
    (folder / "styles.csv").write_text(
        "id,title,colour\na,Box,red\nb,box,red\nc,,red\n"
    )
    a, b, c = read_pairs(folder, group="title").groups
    assert a == b != c


def test_pictures_with_one_caption_answer_the_same_query():
    colours = list(COLOURS)[:2]
    pairs = Pairs(
        list("abc"), list("abc"), [[c, "x"] for c in [*colours, "red"]], "123"
    )
    assert pairs.ground_truth() == {"red": {"a": 1, "c": 1}, "green": {"b": 1}}
