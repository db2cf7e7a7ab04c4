"""A small German shop, as it exports its data, and what comes of it."""

import gzip
import json
import os

import pandas as pd
import pytest
import yaml
from PIL import Image

from recbole_whisperlite import cli
from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.encoder.pictures import read_picture
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare import table

ITEMS = '''\
Artikelnr;Bezeichnung;Beschreibung;Größe;Preis;Bestand;Bestellcode;Bild
4711;"Mütze ""Förde""";"<p>Weich &amp; warm.<br>100&nbsp;% Wolle</p>\
<style>p {color: red}</style>";54;19,90;12;00815;bilder/muetze.jpg
4712;Gummistiefel;"<ul><li>wasser&shy;dicht</li><li>Größe < 40 > 36</li></ul>";\
39;1.299,00;0;00816;bilder\\stiefel.png
4713;Schal für 30 €;;170;24,5;;01700;
4714;;"<p>&nbsp;</p>";;;3;;
'''
INTERACTIONS = """\
Kunde;Artikelnr;Suche;Zeitpunkt
anna;4711;s1;12.03.2024 18:30
anna;4712;s2;13.03.2024 07:05
bea;9999;s3;13.03.2024 09:00
bea;4713;s3;13.03.2024 09:00
bea;4711;;31.12.2023
bea;8888;;31.12.2023
bea;9999;;31.12.2023
"""
REQUESTS = """\
Suche;Text
s1;warme Mütze
s2;"R&amp;D: Stiefel < 40 €"
s3;Schal
"""
#: 12 March 2024 is day 19,794 after 1 January 1970, 31 December 2023 day 19,722.
DAY = 86400
FILES = {"artikel.csv": ITEMS, "kaeufe.csv": INTERACTIONS, "suchen.csv": REQUESTS}
MAPPING = """\
interactions:
  file: kaeufe.csv
  separator: ";"
  encoding: cp1252
  date_format: ["%d.%m.%Y %H:%M", "%d.%m.%Y"]
  missing_items: drop
  columns: {user_id: Kunde, item_id: Artikelnr, request_id: Suche, timestamp: Zeitpunkt}
requests:
  file: suchen.csv
  separator: ";"
  encoding: cp1252
  columns: {request_id: Suche, request: Text}
items:
  file: artikel.csv
  separator: ";"
  encoding: cp1252
  decimal: ","
  text: [size]
  columns:
    item_id: Artikelnr
    title: Bezeichnung
    description: Beschreibung
    size: Größe
    price: Preis
    stock: Bestand
    code: Bestellcode
    image: Bild
"""


class Shop:
    """The files of the shop in a folder; they may be changed before ``convert``."""

    def __init__(self, folder):
        self.folder, self.output = folder, folder / "dataset" / "shop"
        for name, text in FILES.items():
            (folder / name).write_bytes(text.encode("cp1252"))
        (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
        (folder / "bilder").mkdir()
        Image.new("RGB", (20, 30), "red").save(folder / "bilder/muetze.jpg")
        Image.new("RGB", (40, 10), "blue").save(folder / "bilder/stiefel.png")

    def change(self, file, old, new):
        """Replace what occurs once in a file."""
        encoding = "utf-8" if file == "mapping.yaml" else "cp1252"
        content, old, new = (
            part if isinstance(part, bytes) else part.encode(encoding)
            for part in ((self.folder / file).read_bytes(), old, new)
        )
        assert content.count(old) == 1, old
        (self.folder / file).write_bytes(content.replace(old, new))

    def map(self, section, **settings):
        """Change settings of a section of the mapping; None removes one."""
        path = self.folder / "mapping.yaml"
        mapping = yaml.safe_load(path.read_text("utf-8"))
        mapping[section].update(settings)
        mapping[section] = {k: v for k, v in mapping[section].items() if v is not None}
        path.write_text(yaml.safe_dump(mapping, sort_keys=False), encoding="utf-8")

    def convert(self):
        return table.convert(self.folder / "mapping.yaml", self.output)

    def read(self, suffix):
        frame, columns = read_atomic(self.output / f"shop.{suffix}")
        return frame.to_numpy().tolist(), columns

    def items(self, *names):
        frame = read_atomic(self.output / "shop.item")[0]
        return frame[list(names)].to_numpy().tolist()


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_the_shop_becomes_a_dataset(shop):
    shop.convert()

    inter, columns = shop.read("inter")
    assert inter == [
        ["anna", "4711", "s1", str(19794 * DAY + 18 * 3600 + 30 * 60)],
        ["anna", "4712", "s2", str(19795 * DAY + 7 * 3600 + 5 * 60)],
        ["bea", "4713", "s3", str(19795 * DAY + 9 * 3600)],
        ["bea", "4711", "", str(19722 * DAY)],
    ]
    item, columns = shop.read("item")
    up = os.path.join("..", "..", "bilder", "")
    assert item == [
        # id, title, description, size, price, stock, code, image
        ["4711", 'Mütze "Förde"', "Weich & warm. 100 % Wolle", "54", "19.90", "12"]
        + ["00815", f"{up}muetze.jpg"],
        ["4712", "Gummistiefel", "wasserdicht Größe < 40 > 36", "39", "1299.00", "0"]
        + ["00816", f"{up}stiefel.png"],
        ["4713", "Schal für 30 €", "", "170", "24.5", "", "01700", ""],
        ["4714", "", "", "", "", "3", "", ""],
    ]
    floats = {name for name, kind in columns.items() if kind == "float"}
    assert floats == {"price", "stock"}  # not size, which is in text; not the code
    assert shop.read("request")[0] == [
        ["s1", "warme Mütze"],
        ["s2", "R&D: Stiefel < 40 €"],
        ["s3", "Schal"],
    ]


def test_what_was_dropped_is_counted_in_the_file_and_told(shop, capsys):
    place = shop.folder / "mapping.yaml"
    assert not cli.main(
        ["prepare", "table", f"--config={place}", f"--output={shop.output}"]
    )
    told = capsys.readouterr().out
    assert "Interactions dropped: 3." in told and "artikel.csv: '9999', '8888'." in told
    assert "Item text: title, description, size, code." in told
    assert "not item text: price, stock." in told
    about = json.loads((shop.output / "shop.request.json").read_text("utf-8"))
    assert about["counts"] == {
        "items": 4,
        "requests": 3,
        "interactions": 4,
        "history": 1,
        "interactions_of_missing_items": 3,
        "interactions_of_items_without_text": 0,
        "pictures": 2,
        "missing_images": 0,
    }


def test_an_item_without_text_is_dropped_for_a_reason_of_its_own(shop):
    shop.change("kaeufe.csv", "bea;8888", "bea;4714")  # it has a stock, but no text
    counts = shop.convert()["counts"]
    assert counts["interactions_of_missing_items"] == 2
    assert counts["interactions_of_items_without_text"] == 1


def test_own_requests_of_dropped_items_are_not_written(shop):
    shop.map(
        "interactions",
        columns={
            "user_id": "Kunde",
            "item_id": "Artikelnr",
            "request": "Suche",
            "timestamp": "Zeitpunkt",
        },
    )
    shop.change("kaeufe.csv", "anna;4711;s1", "anna;7777;s1")
    path = shop.folder / "mapping.yaml"
    mapping = yaml.safe_load(path.read_text("utf-8"))
    del mapping["requests"]
    path.write_text(yaml.safe_dump(mapping), encoding="utf-8")
    counts = shop.convert()["counts"]
    assert counts["interactions_of_missing_items"] == 4  # though read twice
    assert shop.read("request")[0] == [["1", "s2"], ["2", "s3"]]
    assert [row[2] for row in shop.read("inter")[0]] == ["1", "2", ""]


def test_missing_items_are_an_error_unless_they_are_to_be_dropped(shop):
    shop.map("interactions", missing_items=None)
    with pytest.raises(UserError) as error:
        shop.convert()
    told = str(error.value)
    assert "kaeufe.csv, line 4: the item '9999' is not in the items' file" in told
    assert "missing_items: drop" in told and "3, of the items '9999', '8888'" in told


def test_html_is_kept_on_request(shop):
    shop.map("items", strip_html=False)
    shop.map("requests", strip_html=False)
    shop.convert()
    description = shop.items("description")[1][0]
    assert description.startswith("<ul><li>wasser&shy;dicht</li>")
    assert shop.read("request")[0][1][1] == "R&amp;D: Stiefel < 40 €"


def test_a_picture_is_found_from_the_dataset_wherever_that_is(shop, tmp_path):
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far/away", target_is_directory=True)
    shop.output = tmp_path / "link" / "deep" / "shop"
    shop.convert()
    (hat,), (boots,), *others = shop.items("image")
    assert not os.path.isabs(hat)
    assert read_picture(os.path.join(shop.output, hat)).size == (20, 30)
    assert read_picture(os.path.join(shop.output, boots)).size == (40, 10)
    assert others == [[""], [""]]


def test_a_picture_by_its_absolute_path_or_in_an_archive_stays_readable(shop):
    import zipfile

    with zipfile.ZipFile(shop.folder / "b.zip", "w") as archive:
        archive.write(shop.folder / "bilder/stiefel.png", "s.png")
    shop.change("artikel.csv", "bilder\\stiefel.png", "b.zip::s.png")
    shop.change(
        "artikel.csv", "bilder/muetze.jpg", f"{shop.folder / 'bilder/muetze.jpg'}"
    )
    shop.convert()
    sizes = [
        read_picture(os.path.join(shop.output, image)).size
        for (image,) in shop.items("image")[:2]
    ]
    assert sizes == [(20, 30), (40, 10)]


@pytest.mark.parametrize("broken", [None, b"", b"GIF89a", b"\xff\xd8\xff\xe0 cut"])
def test_a_picture_that_cannot_be_read_is_left_out_and_told(shop, broken):
    picture = shop.folder / "bilder/stiefel.png"
    picture.unlink()
    if broken is not None:
        picture.write_bytes(broken)
    about = shop.convert()
    (note,) = [note for note in about["notes"] if "Pictures" in note]
    assert "artikel.csv, line 3: " in note and str(picture) in note
    assert about["counts"]["pictures"] == about["counts"]["missing_images"] == 1
    assert [bool(image) for (image,) in shop.items("image")] == [1, 0, 0, 0]

    shop.map("items", missing_image="error")
    with pytest.raises(UserError, match="artikel.csv, line 3: .*missing_image: skip"):
        shop.convert()


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_numbers_that_are_no_texts_have_a_point_whatever_the_mark_of_texts(shop, kind):
    frame = pd.DataFrame(
        {
            "Artikelnr": ["4711", "4712", "4713"],
            "Bezeichnung": ["Mütze", "Stiefel", "Schal"],
            "Preis": [19.9, 1.299, None],
            "Alt": ["29,90", "1.299", ""],
            "Bestand": [12, 0, 3],
        }
    )
    if kind == "parquet":
        frame.to_parquet(shop.folder / "artikel.parquet")
    else:
        frame.to_json(shop.folder / "artikel.jsonl", orient="records", lines=True)
    columns = {"item_id": "Artikelnr", "title": "Bezeichnung", "price": "Preis"}
    shop.map(
        "items",
        file=f"artikel.{kind}",
        separator=None,
        encoding=None,
        text=None,
        columns={**columns, "old": "Alt", "stock": "Bestand"},
    )
    shop.convert()
    assert shop.items("price", "old", "stock") == [
        ["19.9", "29.90", "12"],
        ["1.299", "1299", "0"],
        ["", "", "3"],
    ]
    kinds = shop.read("item")[1]
    assert [kinds[name] for name in ("price", "old", "stock")] == ["float"] * 3


def test_the_same_shop_in_other_encodings_and_separators(shop):
    shop.convert()
    expected = [shop.read(suffix) for suffix in ("inter", "item", "request")]
    text = (shop.folder / "suchen.csv").read_text("cp1252")
    (shop.folder / "suchen.csv").write_bytes(
        text.replace(";", "\t").replace("R&amp\t", "R&amp;").encode("utf-16")
    )
    shop.map("requests", encoding="utf-16", separator="\\t")
    text = (shop.folder / "kaeufe.csv").read_text("cp1252")
    (shop.folder / "kaeufe.csv.gz").write_bytes(
        gzip.compress(text.replace(";", "|").encode("utf-8-sig"))
    )
    shop.map("interactions", file="kaeufe.csv.gz", encoding=None, separator="|")
    shop.convert()
    assert [shop.read(suffix) for suffix in ("inter", "item", "request")] == expected


def test_a_column_of_numbers_with_one_text_is_text_and_told(shop):
    shop.change("artikel.csv", ";24,5;", ";auf Anfrage;")
    about = shop.convert()
    assert "price" in about["item_text"]
    assert "artikel.csv, line 4: the price 'auf Anfrage'" in about["notes"][0]

    shop.map("items", text=["size", "price"])
    assert not any("price" in note for note in shop.convert()["notes"])


def test_codes_are_numbers_only_if_the_mapping_says_so(shop):
    shop.convert()
    assert shop.read("item")[1]["code"] == "token"
    shop.map("items", numbers=["code"])
    shop.convert()
    assert shop.read("item")[1]["code"] == "float"
    assert (
        "code"
        not in json.loads((shop.output / "shop.request.json").read_text("utf-8"))[
            "item_text"
        ]
    )


NO_TEXT = {"item_id": "Artikelnr", "price": "Preis", "stock": "Bestand"}


@pytest.mark.parametrize(
    ("section", "settings", "change", "told"),
    [
        # dates
        (
            "interactions",
            {},
            ("kaeufe.csv", "13.03.2024 07:05", "31.02.2024 07:05"),
            "kaeufe.csv, line 3: .*'31.02.2024 07:05'.*'Zeitpunkt'.* does not exist",
        ),
        (
            "interactions",
            {},
            ("kaeufe.csv", "13.03.2024 07:05", "03/13/2024 07:05"),
            "line 3: .*does not fit date_format.*Correct the row or date_format",
        ),
        (
            "interactions",
            {"date_format": None},
            None,
            "line 2: the timestamp '12.03.2024 18:30'.*set date_format, such as",
        ),
        (
            "interactions",
            {"date_format": "%d.%m.%Y %H:%m"},
            None,
            "mapping.yaml: interactions: date_format .*minutes are %M",
        ),
        ("interactions", {"date_format": 2024}, None, "date_format must be a text"),
        # numbers
        (
            "items",
            {"decimal": None},
            None,
            "artikel.csv, line 2: the price '19,90' .*'Preis'.* set decimal: \",\"",
        ),
        (
            "items",
            {},
            ("artikel.csv", ";24,5;", ";24.5;"),
            "line 4: the price '24.5' .* decimal comma.*correct it",
        ),
        (
            "items",
            {"numbers": ["price"]},
            ("artikel.csv", ";24,5;", ";auf Anfrage;"),
            "line 4: the price 'auf Anfrage' .* is not a number",
        ),
        ("items", {"decimal": ";"}, None, 'decimal must be "." or ","'),
        ("items", {"text": ["prize"]}, None, "no 'prize'. Did you mean 'price'"),
        ("items", {"numbers": ["size"]}, None, "'size' is both in text and in numbers"),
        (
            "items",
            {"columns": NO_TEXT, "text": None},
            None,
            "every mapped column holds numbers .*text: .price.",
        ),
        # encoding and separator
        (
            "items",
            {"encoding": None},
            None,
            "artikel.csv, line 1: byte 38 .*0xf6.* Set encoding .*cp1252",
        ),
        ("items", {"encoding": "windoof"}, None, "there is no encoding 'windoof'"),
        (
            "interactions",
            {"separator": None},
            None,
            'kaeufe.csv, line 1: .* Set separator: ";" under interactions',
        ),
        (
            "interactions",
            {"separator": "|"},
            ("kaeufe.csv", "Kunde;", "Kundin;"),
            "kaeufe.csv, line 1: there is one column only",
        ),
        ("items", {"separator": ";;"}, None, "must be one character in quotes"),
        (
            "items",
            {},
            ("artikel.csv", "für 30 €", "für; 30 €"),
            "artikel.csv, line 4: .*got 9.* in double quotes",
        ),
        ("items", {"seperator": ";"}, None, "Did you mean 'separator'"),
        # choices
        ("interactions", {"missing_items": "skip"}, None, "must be error or drop"),
        ("items", {"missing_items": "drop"}, None, "It is a setting of interactions"),
        ("items", {"strip_html": "maybe"}, None, "strip_html must be True or False"),
        # items and pictures
        (
            "items",
            {},
            ("artikel.csv", "bilder/muetze.jpg", "https://shop.de/muetze.jpg"),
            "artikel.csv, line 2: .* is a URL.* Download them first",
        ),
        (
            "items",
            {},
            ("artikel.csv", "bilder/muetze.jpg", "//cdn.shop.de/muetze.jpg"),
            "artikel.csv, line 2: .* is a URL",
        ),
        (
            "items",
            {"missing_image": "error"},
            ("artikel.csv", "bilder/muetze.jpg", "bilder/\0.jpg"),
            "artikel.csv, line 2: .*cannot be read",
        ),
        (
            "items",
            {},
            ("artikel.csv", ITEMS.partition("\n")[2], ""),
            "artikel.csv: this file has no rows",
        ),
        (
            "items",
            {"columns": {"item_id": "Bild", "title": "Bezeichnung"}, "text": None},
            None,
            "artikel.csv, line 4: the item_id .* is empty",
        ),
        (
            "interactions",
            {
                "columns": {
                    "user_id": "Kunde",
                    "item_id": "Suche",
                    "request_id": "Suche",
                }
            },
            ("kaeufe.csv", INTERACTIONS.split("bea", 1)[1], ";s1;s1;"),
            "kaeufe.csv: no row is left. Dropped: 3, of the items 's1', 's2'",
        ),
    ],
)
def test_a_mistake_ends_in_one_sentence_and_leaves_what_was_there(
    shop, section, settings, change, told
):
    shop.convert()
    before = {path.name: path.read_bytes() for path in shop.output.iterdir()}
    shop.map(section, **settings)
    if change:
        shop.change(*change)
    with pytest.raises(UserError, match=told):
        shop.convert()
    assert {path.name: path.read_bytes() for path in shop.output.iterdir()} == before
