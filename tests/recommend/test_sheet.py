import re

from PIL import Image

from recbole_whisperlite.recommend import sheet
from recbole_whisperlite.recommend.answer import Answer, Recommendation


def test_the_page_carries_its_pictures_and_escapes_every_text(tmp_path):
    Image.new("RGB", (900, 30), "red").save(tmp_path / "wide.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    pictures = [str(tmp_path / name) for name in ("wide.png", "gone.png", "broken.png")]
    evil = '"><script>alert(1)</script>'
    found = [
        Recommendation(f"i{n}{evil}", 0.5, evil, picture, {evil: 1.5, "memory": -1.0})
        for n, picture in enumerate([*pictures, None])
    ]
    answer = Answer(found, evil, evil, evil, evil, (evil,))
    sheet.write(tmp_path / "found.html", answer, evil, pictures[0], "WhisperLite")
    page = (tmp_path / "found.html").read_text("utf-8")
    assert "<script" not in page
    assert page.count('src="data:image/jpeg;base64,') == 2  # asked for, and the first
    assert page.count("no picture") == 3
    assert not re.search(r'(src|href|url)\s*[=(]\s*"?(?!"?data:)', page)


def test_bars_are_as_long_as_the_parts(tmp_path):
    parts = [{"text": 2.0, "memory": -1.0}, {"text": 0.5, "memory": 0.0}]
    found = [Recommendation("i", sum(p.values()), "", None, p) for p in parts]
    answer = Answer(found, "x", None, "x", "", ())
    sheet.write(tmp_path / "found.html", answer, "x", None, "WhisperLite")
    page = (tmp_path / "found.html").read_text("utf-8")
    bars = re.findall(r'rect class="(\w+)" x="([\d.]+)" y="1" width="([\d.]+)"', page)
    # the middle is 50, the largest part is 50 long, and negative ones go to the left
    assert bars == [
        ("more", "50.00", "50.00"),
        ("less", "25.00", "25.00"),
        ("more", "50.00", "12.50"),
        ("less", "50.00", "0.00"),
    ]


def test_the_command_writes_the_sheet_of_an_answer(ask, tmp_path):
    status, out, err = ask(
        "red dress", "--sheet", tmp_path / "a" / "found.html", "--k=3"
    )
    assert status == 0 and "sheet: " in err and "sheet" not in out
    page = (tmp_path / "a" / "found.html").read_text("utf-8")
    assert "<h1>red dress</h1>" in page and page.count("<li>") == 3


def test_an_answer_without_items_says_so(ask, tmp_path):
    ask("x", "--where", "title=none", "--sheet", tmp_path / "found.html")
    assert "No item is left" in (tmp_path / "found.html").read_text("utf-8")
