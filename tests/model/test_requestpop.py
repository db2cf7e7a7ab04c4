"""RequestPop on the dozen requests, counted by hand."""

import math

import pytest
import torch
from recbole.utils import get_model
from tiny import CHOICES, REQUESTS, write_tiny

from recbole_whisperlite.model.requestpop import TIE_BREAK

# Leave-one-out leaves for training, by user: u1 "a red dress" i1 and "blue shoes, no heels"
# i2, i3; u2 "NA" i2; u3 "👗 for a wedding" i3; u4 "blue shoes, no heels" i5. So i2 and i3
# were chosen twice in all, i1 and i5 once, the rest never.
OVERALL = {"i1": 1, "i2": 2, "i3": 2, "i5": 1}
OF_REQUEST = {
    "a red dress": {"i1": 1},
    "blue shoes, no heels": {"i2": 1, "i3": 1, "i5": 1},
    "NA": {"i2": 1},
    "null": {},
}


def scores(model, dataset, text):
    request = torch.tensor([dataset.token2id("request", text)])
    of_catalogue = model.score_catalogue(request)[0]
    return {
        item: of_catalogue[dataset.token2id("item_id", item)].item()
        for item in (f"i{n}" for n in range(1, 10))
    }


@pytest.mark.parametrize("text", OF_REQUEST)
def test_a_score_is_the_log_of_choices_for_the_text_then_of_all(tiny, prepare, text):
    config, dataset, (train, _, _) = prepare("RequestPop", tiny)
    model = get_model("RequestPop")(config, train._dataset)
    found = scores(model, dataset, text)
    for item, score in found.items():
        # the most popular item has 2
        backoff = math.log(1 + OVERALL.get(item, 0)) / math.log(1 + 2) / 10_000
        expected = math.log(1 + OF_REQUEST[text].get(item, 0)) + backoff
        assert score == pytest.approx(expected, rel=1e-5), item


def test_popularity_breaks_ties_without_reordering_counts_below_10_000():
    """Whatever two items have in all, one choice more for the text comes first."""
    assert TIE_BREAK < math.log1p(9_999) - math.log1p(9_998)


def test_one_choice_for_the_text_beats_any_overall_popularity(tmp_path, prepare):
    asked = {f"r{n}": "a red dress" for n in range(1, 60)} | {"r60": "NA"}
    choices = [(f"u{n}", "i1", f"r{n}", n) for n in range(1, 60)]
    choices += [("u60", "i2", "r60", 0)]
    data_path = write_tiny(tmp_path, "all", choices=choices, requests=asked)
    config, dataset, (train, _, _) = prepare(
        "RequestPop",
        data_path,
        "all",
        eval_args={"split": {"RS": [0.9, 0.05, 0.05]}, "group_by": "none"},
    )
    found = scores(get_model("RequestPop")(config, train._dataset), dataset, "NA")
    assert sorted(found, key=found.get, reverse=True)[:2] == ["i2", "i1"]


def test_rows_that_are_no_choices_do_not_count(tiny, prepare):
    config, dataset, (train, _, _) = prepare("RequestPop", tiny)
    label = (train._dataset.inter_feat["request"] != 1).float()
    train._dataset.inter_feat[config["LABEL_FIELD"]] = label
    model = get_model("RequestPop")(config, train._dataset)
    first = dataset.id2token("request", 1)
    assert first == REQUESTS["r1"] and CHOICES[0][1:3] == ("i1", "r1")
    assert scores(model, dataset, first)["i1"] == 0
