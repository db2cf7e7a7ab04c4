"""What CITATION.cff and the card of whisperlite-mini say is what the package says."""

import re
from pathlib import Path

import yaml
from huggingface_hub import ModelCard

import recbole_whisperlite
from recbole_whisperlite.encoder.clip import load_clip

ROOT = Path(__file__).resolve().parents[2]
MINI = Path(recbole_whisperlite.__file__).parent / "encoder/clip/mini"


def citation():
    return yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))


def test_the_citation_is_of_this_version_and_dated_when_it_is_released():
    about = citation()
    version = recbole_whisperlite.__version__
    assert about["cff-version"] == "1.2.0" and about["type"] == "software"
    assert (about["version"], about["license"]) == (version, "MIT")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    day = re.search(rf"^## \[{re.escape(version)}\] - (\S+)$", changelog, re.MULTILINE)
    released = None if day[1] == "unreleased" else day[1]
    assert (str(about["date-released"]) if "date-released" in about else None) == (
        released
    )


def test_both_papers_can_be_found():
    first, second = citation()["references"]
    assert first["identifiers"][0]["value"] == "arXiv:2207.12033"
    assert first["title"].startswith("Contrastive Learning for Interactive")
    assert [each["family-names"] for each in first["authors"]][0::6] == [
        "Sevegnani",
        "Medioni",
    ]
    assert second["doi"] == "10.1038/s41598-022-23052-9"
    assert (second["journal"], second["volume"]) == ("Scientific Reports", 12)
    assert second["authors"][0]["family-names"] == "Chia"


def test_the_card_is_read_by_the_hubs_library_and_its_figures_are_those_of_the_page():
    card = ModelCard.load(MINI / "README.md")
    data = card.data
    assert (data.license, data.library_name) == ("mit", "recbole-whisperlite")
    assert "clip" in data.tags
    page = (ROOT / "docs/clip.md").read_text("utf-8").partition("## Results of ")[2]
    assert len(data.eval_results) == 8
    for result in data.eval_results:
        shown = f"{result.metric_value:.3f}".lstrip("0")
        assert shown in card.text and shown in page, result.metric_name
    # a table of the text names every row of the metadata
    for name in ("recall@1", "MRR", "accuracy", "weighted F1"):
        assert name in {each.metric_name for each in data.eval_results}
        assert name in card.text


def test_the_cards_example_runs_and_says_the_shapes():
    card = ModelCard.load(MINI / "README.md")
    [code] = re.findall(r"^```python\n(.*?)^```", card.text, re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(code, "card", "exec"), names)
    assert names["texts"].shape == (2, 192) and names["picture"].shape == (1, 192)
    assert names["texts"].dtype == names["picture"].dtype == "float32"
    # a copy of the folder is the same model
    copied = load_clip("open_clip", clip_model=str(MINI))
    again = copied.encode_texts(["a red dress", "blue shoes"])
    assert (again == names["texts"]).all()
