"""The page: complete, escaped and self-contained."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recbole_whisperlite import files
from recbole_whisperlite.benchmark.report import __main__ as command
from recbole_whisperlite.benchmark.report import page, pictures, plots
from recbole_whisperlite.benchmark.report.styles import OURS, styles

EMPTY = set("meta link br img input hr use image".split())


class Page(HTMLParser):
    """Collects elements and texts; fails on elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts, self.styles = [], [], [], []
        self.scripts = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            attrs, before = self.scripts[-1]
            self.scripts[-1] = attrs, before + data
        elif self.open[-1:] == ["style"]:
            self.styles.append(data)
        else:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def figures(self):
        return {
            attrs["data-plot"]: json.loads(content)
            for attrs, content in self.scripts
            if "data-plot" in attrs
        }

    def having(self, attribute):
        return [attrs[attribute] for _, attrs in self.elements if attribute in attrs]


@pytest.fixture(scope="module", autouse=True)
def without_plotly():
    """Without megabytes of script that only one of the tests needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "get_plotlyjs", lambda: "var Plotly;")
        yield


def test_every_plot_has_its_figure_and_its_element(made):
    rendered = Page(page.render(made))
    expected = {"plot-differences", "plot-cost", "plot-k-ndcg", "plot-k-hit"}
    kinds = ("words", "history", "popularity", "asked")
    expected |= {f"plot-slices-{kind}" for kind in kinds}
    expected |= {"plot-learning-epochs", "plot-learning-seconds"}
    assert set(rendered.figures) == expected
    ids = rendered.having("id")
    assert expected <= set(ids) and len(ids) == len(set(ids))
    # against WhisperLite: a point with the ends of its interval
    [gap] = rendered.figures["plot-differences"]["data"]
    assert (gap["legendgroup"], gap["x"]) == ("<b>Pop</b>", [0.04])
    ends = gap["error_x"]["arrayminus"] + gap["error_x"]["array"]
    assert ends == pytest.approx([0.03, 0.03])
    expected.remove("plot-differences")
    for figure in map(rendered.figures.get, expected):
        assert {t["legendgroup"] for t in figure["data"]} == {
            "WhisperLite",
            "<b>Pop</b>",
        }
        # above the others, in its own colour; plotly reads tags in names
        assert figure["data"][-1]["legendgroup"] == "WhisperLite"
        assert figure["data"][-1]["line"]["color"] == OURS
        assert figure["data"][0]["name"] == "&lt;b&gt;Pop&lt;/b&gt;"
    epochs = rendered.figures["plot-learning-epochs"]["data"]
    assert [trace["x"] for trace in epochs] == [[2], [2, 4], [2, 4]]
    cost = rendered.figures["plot-cost"]["data"]
    assert [trace["x"] for trace in cost] == [[plots.SHORTEST], [2.0]]
    expected.add("plot-differences")
    links = [link for link in rendered.having("href") if link.startswith("#")]
    assert {link[1:] for link in links} <= set(ids)


def test_the_page_refers_to_nothing_outside_of_itself(made):
    text = page.render(made)
    rendered = Page(text)
    for name in ("src", "href", "action", "data", "srcset", "poster"):
        for value in rendered.having(name):
            assert value.startswith(("#", "data:")), value
    assert not re.search(r"url\(|@import", " ".join(rendered.styles))
    assert "http://" not in text and "https://" not in text
    [policy] = [
        attrs["content"] for tag, attrs in rendered.elements if "http-equiv" in attrs
    ]
    assert policy.startswith("default-src 'none'")
    # exactly the scripts of the page may run
    for attrs, content in rendered.scripts:
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert (f"'sha256-{digest}'" in policy) == ("type" not in attrs)


def test_texts_of_users_are_shown_and_never_run(made):
    text = page.render(made)
    assert "alert(" in text and "<script>alert" not in text
    rendered = Page(text)
    assert made["examples"][0]["request"] in rendered.text
    assert "b" not in {tag for tag, _ in rendered.elements}  # Pop's row name
    assert "i" not in {tag for tag, _ in rendered.elements}  # the title's
    assert 'Red "dress" <i>' in rendered.having("title")
    assert "n_heads <3> is no divisor" in rendered.text
    assert "'--dataset=tiny & more'" in rendered.text


def test_the_table_has_ranks_intervals_significance_and_costs(made):
    text = page.render(made)
    rendered = Page(text)
    assert '<strong>0.6200</strong><span class="star">*</span>' in text
    assert "<u>0.5800</u>" in text
    assert "[0.4800, 0.6800]" in text and "± 0.0100" in text
    assert "p = 0.012 against WhisperLite, corrected" in rendered.having("title")
    assert "<b>Pop</b> is best: NDCG@3 0.6200." in rendered.text
    compared = (
        "Of the 1 row compared with WhisperLite, 1 is significantly better and none"
    )
    assert compared in rendered.text
    assert rendered.having("data-row")[:3] == ["<b>Pop</b>", "WhisperLite", "SASRec"]
    assert "failed" in rendered.text
    assert "0123456789abcdef" in rendered.text and "{colour} {kind}" in rendered.text
    # metrics at another k than the main metric's are hidden
    hidden = [a["data-k"] for _, a in rendered.elements if "hidden" in a]
    assert set(hidden) == {"1"}


def test_chosen_items_are_marked_wherever_a_model_found_them(made):
    items = [
        attrs["class"]
        for _, attrs in Page(page.render(made)).elements
        if attrs.get("class", "").startswith("item ") or attrs.get("class") == "item"
    ]
    # chosen: i1; WhisperLite: i1, i2; Pop: i2, in the table's order
    assert items == ["item hit", "item", "item hit", "item"]


def test_pictures_are_embedded_once_and_small(made, tmp_path):
    Image.new("RGB", (600, 300), "red").save(tmp_path / "one.png")
    (tmp_path / "two.png").write_text("no picture")
    made["dataset_folder"] = str(tmp_path)
    made["items"]["i1"]["image"] = "one.png"
    made["items"]["i2"]["image"] = "two.png"
    rendered = Page(page.render(made))
    [uri] = [uri for uri in rendered.having("href") if uri.startswith("data:")]
    kind, encoded = uri.split(",")
    assert kind == "data:image/webp;base64"
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert picture.size == (pictures.SIZE, pictures.SIZE // 2)
    red, green, blue = picture.convert("RGB").getpixel((9, 9))
    assert red > 230 and green < 25 and blue < 25
    # i1 is shown twice
    assert rendered.having("href").count("#picture-1") == 2
    # without the pictures there is still a page
    made["dataset_folder"] = str(tmp_path / "gone")
    text = page.render(made)
    assert "data:image" not in text
    assert f"not found in {tmp_path / 'gone'}." in Page(text).text.replace(" .", ".")


def test_absolute_paths_out_of_the_dataset_are_not_shown(made, tmp_path):
    dataset, elsewhere = tmp_path / "shop", tmp_path / "shop-private"
    for folder in (dataset, elsewhere):
        folder.mkdir()
        Image.new("RGB", (60, 30), "red").save(folder / "one.png")
    made["dataset_folder"] = str(dataset)
    made["items"]["i1"]["image"] = str(elsewhere / "one.png")
    made["items"]["i2"]["image"] = str(dataset / "one.png")
    text = page.render(made)
    assert text.count("data:image/webp") == 1
    assert "1 pictures are left out: their absolute paths lead out" in text


def test_a_benchmark_in_which_everything_failed_has_a_page(made):
    made["rows"] = made["rows"][2:]
    made.update(metrics=[], metrics_of_queries=[], main_metric=None, reference=None)
    made.update(test_sets=[], examples=[], items={}, units={}, composed_requests=None)
    rendered = Page(page.render(made))
    assert "n_heads <3> is no divisor" in rendered.text
    assert not rendered.figures


def test_forty_two_rows_can_be_distinguished():
    rows = [{"name": f"M{n:02}", "model": "BPR"} for n in range(42)]
    rows.append({"name": "A", "model": "WhisperLite"})
    drawn = styles(rows)
    looks = {(style.colour, style.marker) for style in drawn.values()}
    assert len(looks) == 43
    lines = {(drawn[f"M{n}"].colour, drawn[f"M{n}"].dash) for n in range(10, 28)}
    assert len(lines) == 18
    assert [name for name in drawn if drawn[name].colour == OURS] == ["A"]


def test_plotly_itself_can_be_embedded_in_a_script():
    from plotly.offline import get_plotlyjs

    script = get_plotlyjs()
    assert "</script" not in script.lower() and "<!--" not in script


def save(made, folder):
    arrays = made.pop("units")
    (folder / "benchmark.json").write_text(json.dumps(made, default=files.plain))
    np.savez_compressed(folder / "units.npz", **arrays)


def test_the_report_of_an_old_benchmark_is_written_again_without_models(
    made, tmp_path, capsys
):
    text = page.render(made)
    save(made, tmp_path)
    assert command.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == text


def test_a_folder_without_a_benchmark_is_reported_in_one_line(made, tmp_path, capsys):
    assert command.main([str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "benchmark.json does not exist" in told and "Traceback" not in told
    save(made, tmp_path)
    (tmp_path / "units.npz").write_bytes(b"PK, but torn")
    assert command.main([str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_a_benchmark_writes_a_report_even_if_all_runs_are_kept(
    benchmark, started, capsys
):
    models = {"Pop": None, "SASRec-broken": {"model": "SASRec", "n_heads": 3}}
    assert benchmark(models) == 1
    path = Path("results/tiny/report.html")
    assert f"Report: {path}" in capsys.readouterr().out
    rendered = Page(path.read_text("utf-8"))
    # requests, titles of items, and what failed
    for part in ("User u1", 'she said "no dresses', "Thing 1", "SASRec-broken"):
        assert part in rendered.text
    assert "plot-cost" in rendered.figures
    path.unlink()
    started.clear()
    assert benchmark({"Pop": None}) == 0
    assert started == [] and path.is_file()


def test_the_page_says_how_users_products_and_folds_are_treated(made):
    plain = Page(page.render(made)).text
    assert "are known" not in plain and "Tuning on validation" not in plain
    of_row = {"trials": 5, "failed": 1, "all": False, "users": 0.2}
    made.update(known_at_test="before_request", new_items=0.1, folds=5)
    made["tuning"] = {"WhisperLite": of_row}
    text = Page(page.render(made)).text
    for part in (
        "before the request are known",
        "0.1 of the items",
        "in 5 folds",
        "5 trials, 1 failed, on 20% of the users (WhisperLite)",
    ):
        assert part in text


def test_a_benchmark_of_version_0_1_has_a_page_without_what_it_lacks(made):
    for row in made["rows"]:
        del row["trials"], row["note"]
        for cell in row["metrics"].values():
            del cell["difference"]
    del made["units"]["0/asked"]
    rendered = Page(page.render(made))
    assert "plot-differences" not in rendered.figures
    assert "plot-slices-asked" not in rendered.figures
    assert "plot-slices-popularity" in rendered.figures
    assert "p = 0.012" in rendered.text and "revision" not in rendered.text
