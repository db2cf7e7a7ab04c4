"""The shop of docs/own-data.md is converted as the page says."""

import re
from pathlib import Path

from PIL import Image

from recbole_whisperlite import cli

PAGE = (Path(__file__).resolve().parents[2] / "docs/own-data.md").read_text("utf-8")
SHOP = PAGE.partition("A German shop")[2].partition("\n## ")[0]
#: ``{file: its content}``; a block follows the name of its file.
FILES = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```\n", SHOP, re.DOTALL))
PRINTED, ERROR = (
    SHOP.partition(f"{before}:\n\n```text\n")[2].partition("```")[0]
    for before in ("prints", "Without `decimal`")
)
COMMAND = re.search(r"`recbole-whisperlite (prepare table [^`]*)`", SHOP)[1].split()


def test_the_page_shows_what_the_command_makes_of_its_files(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in ("artikel.csv", "bestellungen.csv", "suchen.csv"):
        Path(name).write_text(FILES[name], encoding="cp1252")
    Path("mapping.yaml").write_text(FILES["mapping.yaml"], encoding="utf-8")
    Path("bilder").mkdir()
    for name in re.findall(r"bilder/\w+\.jpg", FILES["artikel.csv"]):
        Image.new("RGB", (8, 8)).save(name)

    assert cli.main(COMMAND) == 0
    assert capsys.readouterr().out == PRINTED
    for name in ("shop.item", "shop.inter", "shop.request"):
        assert Path("dataset/shop", name).read_text("utf-8") == FILES[name]

    without = FILES["mapping.yaml"].replace('  decimal: ","\n', "")
    Path("mapping.yaml").write_text(without, encoding="utf-8")
    assert cli.main(COMMAND) != 0
    assert capsys.readouterr().err.endswith(ERROR)
