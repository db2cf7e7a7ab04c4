import zipfile

import pytest
from squares import square

from recbole_whisperlite.clip.sources import (
    join_labels,
    read_catalogue,
    read_catalogues,
)
from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.errors import UserError


def zip_of(folder, path, styles=None):
    with zipfile.ZipFile(path, "w") as file:
        for picture in sorted(folder.iterdir()):
            file.write(picture, f"images/{picture.name}")
        file.writestr("__MACOSX/images/._red-0.png", "not a picture")
        if styles:
            file.writestr("styles.csv", styles)
    return path


def test_a_folder_goes_by_the_names_of_its_pictures(photos):
    (photos / "notes.txt").write_text("no picture")
    catalogue = read_catalogue(photos)
    assert catalogue.ids[:2] == ["blue-0", "blue-1"] and len(catalogue) == 12
    assert catalogue.pictures[0] == str(photos / "blue-0.png")


def test_equal_names_in_two_folders_go_by_their_path_and_no_others(photos):
    before = read_catalogue(photos).ids
    (photos / "old").mkdir()
    square("red", 0, 0).save(photos / "old" / "red-0.jpg")
    ids = read_catalogue(photos).ids
    assert set(ids) - set(before) == {"old/red-0.jpg", "red-0.png"}
    assert set(before) - set(ids) == {"red-0"}


def test_a_longer_form_that_is_the_name_of_another_makes_no_two_alike(photos):
    (photos / "old").mkdir()
    for name in ("old/red-0.jpg", "red-0.png.jpg"):
        square("red", 0, 0).save(photos / name)
    ids = read_catalogue(photos).ids
    assert len(set(ids)) == 14 and "red-0.png.jpg" in ids


def test_several_catalogues_are_one_and_equal_ids_go_by_their_path(photos, tmp_path):
    (photos / "list.csv").write_text("image,title\nred-1.png,one\nblue-0.png,two\n")
    paths = [photos / "list.csv", photos / "red-1.png", photos / "red-2.png"]
    catalogue = read_catalogues(paths)
    listed, alone = f"{photos / 'list.csv'}/red-1", str(photos / "red-1.png")
    assert catalogue.ids == [listed, "blue-0", alone, "red-2"]
    assert catalogue.column("title") == ["one", "two", "", ""]
    assert catalogue.pictures[2:] == [alone, str(photos / "red-2.png")]
    with pytest.raises(UserError, match="red-2.png: this is given twice"):
        read_catalogues([*paths, f"{photos}/./red-2.png"])


def test_a_picture_is_known_by_its_content_if_not_by_its_name(photos):
    (photos / "red-0.png").rename(photos / "mine")
    catalogue = read_catalogue(photos / "mine")
    assert catalogue.ids == ["mine"] and catalogue.pictures == [str(photos / "mine")]


def test_a_zip_file_brings_the_columns_of_its_styles(photos, tmp_path):
    styles = "id,colour,name\nred-0,Red,Warm square\nblue-1,Blue,NA\nelse,x,y\n"
    catalogue = read_catalogue(zip_of(photos, tmp_path / "photos.zip", styles))
    row = catalogue.ids.index("blue-1")
    assert len(catalogue) == 12
    assert catalogue.pictures[row].endswith("photos.zip::images/blue-1.png")
    assert catalogue.texts()[row] == "Blue. NA"  # and not a missing value
    assert catalogue.column("colour")[catalogue.ids.index("red-1")] == ""


def test_a_dataset_brings_its_items(photos):
    columns = {"item_id": "token", "title": "token", "price": "float", "image": "token"}
    rows = [("1", "Red square", 2.0, "red-0.png"), ("2", "Nothing", 1.0, "")]
    write_atomic(photos / "photos.item", columns, rows)
    catalogue = read_catalogue(photos)
    assert catalogue.ids == ["1", "2"]
    assert catalogue.pictures == [str(photos / "red-0.png"), ""]
    assert catalogue.texts() == ["Red square", "Nothing"]


def test_a_csv_names_its_pictures_beside_it(photos):
    (photos / "list.csv").write_text("filename,Title\nred-0.png,one\nred-1.png,two\n")
    catalogue = read_catalogue(photos / "list.csv")
    assert catalogue.ids == ["red-0", "red-1"]
    assert catalogue.pictures[1] == str(photos / "red-1.png")
    (photos / "texts.tsv").write_text("sku\ttitle\n007\tone\n008\ttwo\n")
    catalogue = read_catalogue(photos / "texts.tsv", id_column="sku")
    assert catalogue.ids == ["007", "008"] and catalogue.pictures == ["", ""]


def test_only_the_listed_ids_stay_and_unknown_ones_are_counted(
    photos, tmp_path, caplog
):
    (tmp_path / "ids.txt").write_text("red-1\n\nnowhere\nblue-0\n")
    catalogue = read_catalogue(photos).only(tmp_path / "ids.txt")
    assert catalogue.ids == ["red-1", "blue-0"]
    assert "1 ids are not in" in caplog.text and "'nowhere'" in caplog.text
    (tmp_path / "ids.txt").write_text("nowhere\n")
    with pytest.raises(UserError, match="none of these 1 ids"):
        read_catalogue(photos).only(tmp_path / "ids.txt")


def test_labels_are_matched_by_id_or_file_name(photos, tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("filename,colour\nimages/red-0.png,Red\nblue-1,Blue\nother,X\n")
    catalogue = read_catalogue(photos)
    labels = dict(zip(catalogue.ids, join_labels(catalogue, path, "colour")))
    assert labels["red-0"] == "Red" and labels["blue-1"] == "Blue"
    assert labels["green-0"] == ""
    with pytest.raises(UserError, match="no column 'color'.*Did you mean 'colour'"):
        join_labels(catalogue, path, "color")
    path.write_text("id,colour\n1,Red\n")
    with pytest.raises(UserError, match="no value of the column 'id', such as '1'"):
        join_labels(catalogue, path, "colour")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("nothing", None, "does not exist"),
        ("a.parquet", b"x", "a catalogue is a picture .*, a folder or zip file"),
        ("a.zip", b"not a zip", "zip file cannot be read"),
        ("a.csv", b"", "cannot be read as csv"),
        ("a.csv", b"id,title\n", "no line after the header"),
        ("a.csv", b"id,title\n1,\xff\xfe\n", "cannot be read as csv"),
        ("a.csv", b"id,title\n1,a\n1,b\n", "'1' occurs more than once"),
        ("a.csv", b"id,title\n1,a\n,b\n", "row 2: the id is empty"),
    ],
)
def test_what_is_no_catalogue_is_told(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_catalogue(tmp_path / name)


def test_a_zip_file_that_asks_for_a_password_is_told(photos, tmp_path):
    path = zip_of(photos, tmp_path / "photos.zip", "id,name\n1,x\n")
    content = bytearray(path.read_bytes())
    # The bit that says so, in both headers of styles.csv, the last file.
    for header, bit in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rfind(header) + bit] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="photos.zip: .*cannot be read.*password"):
        read_catalogue(path)


def test_a_name_that_no_file_can_have_is_told():
    with pytest.raises(UserError, match="cannot be read. File name too long"):
        read_catalogue("a" * 300)


def test_without_ids_products_go_by_their_pictures_or_rows(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("image,title\na.jpg,one\n,two\n,three\n")
    assert read_catalogue(path).ids == ["a", "row 2", "row 3"]
    path.write_text("image,title\nold/a.jpg,one\nnew/a.jpg,two\n")
    assert read_catalogue(path).ids == ["old/a.jpg", "new/a.jpg"]
    path.write_text("image,title\nold/a.jpg,one\nnew/a.jpg,two\nb.jpg,three\n")
    assert read_catalogue(path).ids == ["old/a.jpg", "new/a.jpg", "b"]


def test_an_empty_folder_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no picture in it"):
        read_catalogue(tmp_path / "empty")


def test_pictures_alone_have_no_texts(photos):
    with pytest.raises(UserError, match="have pictures but no texts"):
        read_catalogue(photos).texts()
