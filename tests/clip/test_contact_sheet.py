import re

import pytest
from PIL import Image
from squares import COLOURS, square

from recbole_whisperlite.clip import contact_sheet
from recbole_whisperlite.clip.contact_sheet import Strip, Tile
from recbole_whisperlite.errors import UserError


@pytest.fixture
def strips(photos):
    tiles = [
        Tile(str(photos / "red-0.png"), "red-0", 0.9, "<b>warm</b> & red"),
        Tile(str(photos / "gone.png"), "gone", 0.1, ""),
        Tile("", "no picture", 0.05, "text"),
    ]
    return [
        Strip("red <things>", None, tiles),
        Strip("like it", square("red", 1, 1), tiles),
    ]


def test_the_page_carries_its_pictures_and_escapes_texts(strips, tmp_path):
    contact_sheet.write(tmp_path / "sheet.html", strips)
    page = (tmp_path / "sheet.html").read_text()
    assert page.count('src="data:image/jpeg;base64,') == 7
    assert "red &lt;things&gt;" in page and "&lt;b&gt;warm&lt;/b&gt; &amp; red" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "red-0 · 0.900" in page


def test_the_picture_shows_the_tiles(strips, tmp_path):
    contact_sheet.write(tmp_path / "sheet.png", strips)
    with Image.open(tmp_path / "sheet.png") as sheet:
        colours = {colour for _, colour in sheet.getcolors(10**6)}
        # the second strip has the query and three tiles
        assert sheet.width == 12 + 4 * (128 + 12)
    assert COLOURS["red"] in colours and (236, 239, 241) in colours


def test_a_picture_that_no_viewer_opens_is_refused(strips, tmp_path):
    with pytest.raises(UserError, match="2,000 queries .* Write it as .html"):
        contact_sheet.write(tmp_path / "sheet.png", strips * 1000)
    assert not list(tmp_path.glob("*sheet*"))


def test_other_names_are_refused_and_nothing_is_left(strips, tmp_path):
    with pytest.raises(UserError, match="must be an .html page or a .png"):
        contact_sheet.write(tmp_path / "sheet.pdf", strips)
    with pytest.raises(UserError, match="cannot be written"):
        contact_sheet.write("/proc/none/sheet.png", strips)
    assert not list(tmp_path.glob("*sheet*"))
