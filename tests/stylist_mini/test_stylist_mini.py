"""The built-in dataset, read back from its files with words of the tests' own."""

import inspect
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.stylist_mini import build, folder as folder_module
from recbole_whisperlite.stylist_mini import drawing, picks, vocabulary
from recbole_whisperlite.stylist_mini.catalogue import make_products
from recbole_whisperlite.stylist_mini.intents import Intent
from recbole_whisperlite.stylist_mini.shoppers import Shopper
from recbole_whisperlite.stylist_mini.stock import Stock
from recbole_whisperlite.errors import UserError

SIZES = {"n_items": 300, "n_users": 400, "n_requests": 2000}
TINY = {"n_items": 100, "n_users": 10, "n_requests": 40}
ATOMIC = ("inter", "item", "request")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dataset") / "stylist-mini", **SIZES)


@pytest.fixture(scope="session")
def items(built):
    return read_atomic(built / "stylist-mini.item")[0].set_index("item_id", drop=False)


@pytest.fixture(scope="session")
def requests(built):
    return read_atomic(built / "stylist-mini.request")[0].set_index("request_id")


@pytest.fixture(scope="session")
def inter(built):
    return read_atomic(built / "stylist-mini.inter")[0]


@pytest.fixture(scope="session")
def judged(items, requests, inter):
    """Every pick beside what was asked for, and how far it contradicts that."""
    frame = inter.join(requests, on="request_id")
    frame = frame.join(items.drop(columns="item_id"), on="item_id")
    supply = pd.concat([items.garment, items.group]).value_counts()

    def judge(row):
        def holds(predicate):
            column, value = predicate.split("=")
            return row[column] == value

        wished = row["wished"].split()
        types = [p for p in wished if p.startswith(("garment=", "group="))]
        wishes = [p for p in wished if p not in types]
        return {
            "violates": any(holds(p) for p in row["ruled_out"].split()),
            "asked": not types or any(holds(p) for p in types),
            "met": np.mean([holds(p) for p in wishes]),
            "pool": sum(supply[p.split("=")[1]] for p in types) or len(items),
        }

    verdicts = pd.DataFrame([judge(row) for row in frame.to_dict("records")])
    return pd.concat([frame, verdicts], axis=1)


def content(folder, *suffixes):
    return {s: (folder / f"{folder.name}.{s}").read_bytes() for s in suffixes or ATOMIC}


# ---------------------------------------------------------------- sizes and ranges


def test_the_default_sizes_are_those_of_the_issue():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(build).parameters.items()
    }
    assert defaults["n_items"] == 1500
    assert defaults["n_users"] == 2000
    assert defaults["n_requests"] == 10_000


def test_the_files_hold_as_many_rows_as_asked_for(items, requests, inter):
    assert len(items) == items.index.nunique() == 300
    assert len(requests) == requests.index.nunique() == 2000
    assert inter.user_id.nunique() == 400
    assert set(inter.request_id) == set(requests.index)
    assert set(inter.item_id) <= set(items.index)
    assert set(inter.outcome) == {"KEEP", "TRY", "NOTTRY"}


def test_descriptions_have_9_to_50_words(items):
    words = items.description.str.split().str.len()
    assert words.min() >= 9 and words.max() <= 50
    assert words.quantile(0.9) - words.quantile(0.1) >= 10


def test_requests_are_as_long_as_in_the_paper(requests):
    words = requests.request.str.split().str.len()
    assert words.min() >= 3 and words.max() <= 200
    assert 20 <= words.median() <= 27
    assert 45 <= words.quantile(0.9) <= 62


def test_a_shopper_asks_3_to_12_times_and_gets_1_to_6_picks(inter):
    asked = inter.groupby("user_id").request_id.nunique()
    assert asked.min() == 3 and 9 <= asked.max() <= 12
    sent = inter.groupby("request_id").size()
    assert set(sent) == {1, 2, 3, 4, 5, 6}


def test_requests_follow_one_another_in_time_over_a_year(inter):
    times = inter.timestamp.astype(int)
    assert times.is_monotonic_increasing
    events = inter.assign(time=times).groupby("request_id")
    assert (events.time.nunique() == 1).all() and (events.user_id.nunique() == 1).all()
    first = inter.assign(time=times).drop_duplicates("request_id")
    assert (first.groupby("user_id").time.diff().dropna() > 0).all()
    assert first.request_id.is_monotonic_increasing
    span = pd.to_datetime(times, unit="s")
    assert span.min() < pd.Timestamp("2025-01-15")
    assert pd.Timestamp("2025-12-15") < span.max() < pd.Timestamp("2026-01-01")


def test_nobody_is_sent_the_same_product_twice(inter):
    assert not inter.duplicated(["user_id", "item_id"]).any()


def test_requests_are_typed_in_many_ways(requests):
    text = requests.request
    assert 0.2 < (text == text.str.lower()).mean() < 0.5
    assert 0.05 < text.str.contains("[^\x00-\x7f]").mean() < 0.2
    assert (
        text.str.count('"').mod(2).eq(1).any()
    ), "no unbalanced quote to trip a reader"
    assert text.nunique() > 0.99 * len(text)


# ---------------------------------------------------------------- wishes and refusals

# The words by which a reader recognises each refusal.
PRINT = "prints|patterns"
BRIGHT = "(bright|loud) colours"
VOICED = {
    "heel=flat": "flat",
    "heel=low": "heels",
    "heel=high": "heels|stilettos",
    "sleeve=sleeveless": "sleeveless|bare arms",
    "sleeve=short": "short sleeves",
    "sleeve=long": "long sleeves",
    "neckline=v": "(low|deep) necklines|v-necks|low-cut",
    "neckline=turtle": "turtlenecks|roll necks",
    "neckline=boat": "off-shoulder|bare shoulders|boat necks",
    "fit=tight": "tight|clingy",
    "fit=loose": "baggy|oversized",
    "length=mini": "mini (lengths|hems)|short hems|above the knee",
    "length=maxi": "maxi lengths|floor-length",
    "length=cropped": "cropped",
    "pattern=floral": f"florals|flowers|flower prints|{PRINT}",
    "pattern=striped": f"striped?|stripes|{PRINT}",
    "pattern=dotted": f"dots|{PRINT}",
    "pattern=checked": f"checks|plaid|{PRINT}",
    "material=wool": "wool",
    "material=silk": "silk",
    "material=polyester": "polyester|synthetics",
    "material=leather": "leather|animal skins",
    "material=suede": "suede|animal skins",
    "price_band=high": "expensive|luxury",
    "style=boho": "hippie|boho",
    "style=romantic": "girly|frills",
    "style=edgy": "punk|rocker",
    "style=sporty": "sporty",
    "style=retro": "retro|vintage",
    **{f"colour={colour}": colour for colour in vocabulary.SHADES},
    **{
        f"colour={colour}": f"{colour}|{BRIGHT}"
        for colour in ("yellow", "orange", "red", "pink")
    },
    **{f"garment={name}": name + "(e?s)?" for name in vocabulary.GARMENTS},
    "garment=tee": "t-shirts",
    "garment=tank": "tank tops",
    "garment=sweater": "jumpers",
}
REFUSING = re.compile(
    r"\b(no|nothing|not|never|avoid|anything but|skip|don't|can't|keep|stay away"
    r"|twist|kill|feel naked|suffocate|itch|allergic|sweat in|ruin|too loud|too old"
    r"|drown|look wide|look like|feel fat|reminds me|scare me)\b"
)


def test_about_half_of_the_requests_rule_something_out(requests):
    assert 0.4 < (requests.ruled_out != "").mean() < 0.6


def test_what_is_ruled_out_names_columns_and_values_of_the_items(items, requests):
    predicates = " ".join(requests.ruled_out + " " + requests.wished).split()
    for predicate in set(predicates):
        column, value = predicate.split("=")
        assert value in set(items[column]), predicate


def test_every_value_of_a_predicate_is_one_token(items):
    for column in vocabulary.ATTRIBUTES:
        assert not items[column].str.contains(r"[\s=]").any(), column


def test_every_refusal_is_voiced_in_the_request(requests):
    seen = set()
    for text, ruled_out in zip(requests.request.str.lower(), requests.ruled_out):
        for predicate in ruled_out.split():
            assert re.search(rf"\b({VOICED[predicate]})\b", text), (predicate, text)
            assert REFUSING.search(text), text
            seen.add(predicate)
    assert len(seen) > 40


def test_a_request_that_rules_nothing_out_voices_no_refusal(requests):
    things = "|".join(VOICED.values())
    refusal = re.compile(
        rf"\b(no|anything but|skip|avoid|a fan of|don't want|can't stand|never wear"
        rf"|nothing) ({things})\b"
    )
    silent = requests[requests.ruled_out == ""].request.str.lower()
    assert len(silent) > 800
    assert [text for text in silent if refusal.search(text)] == []


def test_what_is_ruled_out_is_not_wished_for(requests):
    for wished, ruled_out in zip(requests.wished, requests.ruled_out):
        assert not set(wished.split()) & set(ruled_out.split())


def test_something_suitable_is_left(items, requests):
    for wished, ruled_out in zip(requests.wished, requests.ruled_out):
        pool = items
        types = [
            p.split("=") for p in wished.split() if p.startswith(("garment", "group"))
        ]
        if types:
            pool = pool[np.any([pool[c] == v for c, v in types], axis=0)]
        for column, value in (p.split("=") for p in ruled_out.split()):
            pool = pool[pool[column] != value]
        assert len(pool) > 0


# ---------------------------------------------------------------- picks


def test_label_noise_stays_within_what_is_documented(judged):
    limit = picks.BLIND + picks.FORGETFUL
    refusing = judged[judged.ruled_out != ""]
    assert 0.005 < refusing.violates.mean() < limit < 0.12
    # Of a garment that hardly exists, a shopper soon has everything.
    plenty = judged[judged.pool >= 25]
    assert len(plenty) > 1500
    assert 0.005 < (~plenty.asked).mean() < 2 * picks.BLIND


def test_contradicting_picks_are_seldom_kept(judged):
    wrong = judged[judged.violates | ~judged.asked]
    right = judged[~judged.violates & judged.asked]
    assert len(wrong) > 50
    assert (wrong.outcome == "NOTTRY").mean() > 0.8
    assert (right.outcome == "NOTTRY").mean() < 0.5
    assert 0.25 < (right.outcome == "KEEP").mean() < 0.6


def test_picks_meet_wishes_more_often_than_other_products_of_the_garment(judged):
    shuffled = judged.wished.sample(frac=1, random_state=0).to_numpy()
    rows = judged.to_dict("records")
    by_chance = np.mean(
        [
            row[column] == value
            for row, wished in zip(rows, shuffled)
            for column, value in (p.split("=") for p in wished.split())
            if column not in ("garment", "group") and row[column]
        ]
    )
    assert judged.met.mean() > by_chance + 0.25


def test_kept_products_meet_more_wishes_than_untried_ones(judged):
    met = judged.groupby("outcome").met.mean()
    assert met["KEEP"] > met["TRY"] > met["NOTTRY"]


@pytest.mark.parametrize("column", ["line", "style", "colour", "price_band"])
def test_lasting_tastes_show_in_what_was_sent_before(judged, column):
    """A shopper's last picks resemble the earlier ones more than a stranger's do."""
    last = judged.groupby("user_id").request_id.transform("max") == judged.request_id
    own = pd.crosstab(judged.user_id[~last], judged[column][~last], normalize="index")
    strangers = own.mean()
    gain = np.array(
        [
            own.at[user, value] - strangers[value]
            for user, value in zip(judged.user_id[last], judged[column][last])
        ]
    )
    assert gain.mean() > 4 * gain.std() / np.sqrt(len(gain)), column


def test_lines_are_a_taste_that_is_never_voiced(judged):
    assert not judged.wished.str.contains(r"\bline=").any()


def test_a_tenth_of_the_products_gets_a_fifth_of_the_picks(inter):
    counts = inter.item_id.value_counts()
    assert counts.head(30).sum() > 0.2 * counts.sum()


def test_appeal_adds_up_wishes_and_tastes(items):
    """Three products whose sums can be checked by eye."""
    empty = dict.fromkeys(vocabulary.ATTRIBUTES, "")
    stock = Stock(
        [
            {
                **empty,
                "garment": "pumps",
                "colour": "red",
                "heel": "high",
                "line": "Grit",
            },
            {**empty, "garment": "flats", "colour": "burgundy", "heel": "flat"},
            {**empty, "garment": "hat", "colour": "green", "line": "Grit"},
        ]
    )
    no_heels = next(ban for ban in vocabulary.BANS if "heels" in ban.things)
    intent = Intent(("pumps", "flats"), "", (("colour", "red"),), (no_heels,), 20)
    shopper = Shopper("u1", {("line", "Grit"): 1.5, ("colour", "yellow"): -2.0}, {})
    suits, ruled_out = picks.appeal(stock, shopper, intent)
    wish, near, garment = (
        picks.WISH_UTILITY,
        picks.NEAR_COLOUR_UTILITY,
        picks.GARMENT_UTILITY,
    )
    assert suits.tolist() == pytest.approx([garment + wish + 1.5, garment + near, 1.5])
    assert ruled_out.tolist() == [True, False, False]


# ---------------------------------------------------------------- leaks


def test_item_texts_do_not_depend_on_shoppers_or_requests(tmp_path):
    few = build(tmp_path / "few" / "mini", **TINY)
    many = build(tmp_path / "many" / "mini", n_items=100, n_users=20, n_requests=200)
    assert content(few, "item") == content(many, "item")
    assert content(few, "inter") != content(many, "inter")


def test_texts_name_no_ids_and_no_column_values_of_predicates(items, requests):
    ids = r"\b[pru]\d{3,}\b|=|_"
    for texts in (items.title, items.description, requests.request):
        assert not texts.str.contains(ids).any()


def test_requests_never_name_a_line(requests):
    lines = "|".join(vocabulary.LINES)
    assert not requests.request.str.contains(rf"\b(?:{lines})\b").any()


# ---------------------------------------------------------------- pictures


def dominant(image):
    pixels = np.asarray(image).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    counts[(colours == drawing.BACKGROUND).all(axis=1)] = 0
    return tuple(colours[counts.argmax()].tolist())


def test_every_product_has_a_picture_of_96_by_96_that_shows_its_colour(built, items):
    for item in items.itertuples():
        with Image.open(built / item.image) as image:
            assert image.size == (96, 96) and image.mode == "RGB"
            if item.pattern == "plain":
                assert dominant(image) in vocabulary.SHADES[item.colour].values(), item
    assert len(list((built / "images").iterdir())) == len(items)


@pytest.mark.parametrize(
    "garment, column",
    [
        ("blouse", "pattern"),
        ("blouse", "sleeve"),
        ("dress", "sleeve"),
        ("dress", "neckline"),
        ("sweater", "neckline"),
        ("tank", "neckline"),
        ("dress", "length"),
        ("trousers", "length"),
        ("boots", "length"),
        ("jeans", "fit"),
        ("skirt", "fit"),
        ("coat", "fit"),
        ("boots", "heel"),
        ("sandals", "heel"),
        ("pumps", "heel"),
    ],
)
def test_the_picture_shows(garment, column):
    kind = vocabulary.GARMENTS[garment]
    product = dict.fromkeys(vocabulary.ATTRIBUTES, "")
    product |= {key: next(iter(values)) for key, values in kind.options.items()}
    product |= {"garment": garment, "group": kind.group, "pattern": "plain"}
    product |= {"colour": "green", "shade": "emerald"}
    values = kind.options.get(column) or vocabulary.PATTERN_SHARES
    pictures = {drawing.draw({**product, column: value}).tobytes() for value in values}
    assert len(pictures) == len(values) > 1


def test_garments_differ_in_silhouette():
    silhouettes = set()
    for product in make_products(np.random.RandomState(1), 1500):
        if product["garment"] not in {name for name, _ in silhouettes}:
            pixels = np.asarray(drawing.draw(product))
            inside = (pixels != drawing.BACKGROUND).any(axis=2)
            assert 0.05 < inside.mean() < 0.7, product["garment"]
            silhouettes.add((product["garment"], inside.tobytes()))
    assert len({shape for _, shape in silhouettes}) == len(vocabulary.GARMENTS) == 24


# ---------------------------------------------------------------- building


def test_a_seed_decides_every_byte(tmp_path):
    first = build(tmp_path / "1" / "mini", seed=7, **TINY)
    again = build(tmp_path / "2" / "mini", seed=7, **TINY)
    other = build(tmp_path / "3" / "mini", seed=8, **TINY)
    assert content(first) == content(again)
    for suffix in ATOMIC:
        assert content(first, suffix) != content(other, suffix)
    for picture in (first / "images").iterdir():
        assert picture.read_bytes() == (again / "images" / picture.name).read_bytes()


def test_the_files_are_named_after_the_folder(tmp_path):
    folder = build(tmp_path / "boutique", **TINY)
    names = {path.name for path in folder.iterdir()}
    assert {f"boutique.{suffix}" for suffix in ATOMIC} <= names


@pytest.mark.parametrize("blow", [KeyboardInterrupt, OSError])
def test_an_interrupted_build_leaves_nothing(tmp_path, monkeypatch, blow):
    calls = []

    def draw(product):
        calls.append(product)
        if len(calls) == 50:
            raise blow
        return drawing.draw(product)

    monkeypatch.setattr(folder_module, "draw", draw)
    parent = tmp_path / "dataset"
    with pytest.raises(blow):
        build(parent / "mini", **TINY)
    assert list(parent.iterdir()) == []
    monkeypatch.undo()
    assert build(parent / "mini", **TINY).is_dir()


def test_builds_at_once_all_succeed(tmp_path):
    with ThreadPoolExecutor(3) as pool:
        target = tmp_path / "dataset" / "mini"
        jobs = [pool.submit(build, target, **TINY) for _ in range(3)]
        assert {job.result() for job in jobs} == {target}
    assert [path.name for path in target.parent.iterdir()] == ["mini"]
    assert content(target) == content(build(tmp_path / "alone" / "mini", **TINY))


def test_a_faster_neighbour_is_no_error_but_a_different_one_is(tmp_path, monkeypatch):
    rename = folder_module.os.rename

    def overtaken(by_seed):
        def slow_rename(source, target):
            monkeypatch.setattr(folder_module.os, "rename", rename)
            build(target, seed=by_seed, **TINY)
            rename(source, target)

        monkeypatch.setattr(folder_module.os, "rename", slow_rename)

    overtaken(by_seed=1)
    assert build(tmp_path / "same", seed=1, **TINY).is_dir()
    overtaken(by_seed=2)
    with pytest.raises(UserError, match="holds something other"):
        build(tmp_path / "other", seed=1, **TINY)


def test_a_built_folder_is_left_as_it_is(tmp_path, monkeypatch):
    folder = build(tmp_path / "mini", **TINY)
    monkeypatch.setattr(folder_module, "_generate", None)
    assert build(folder, **TINY) == folder


def test_a_folder_with_something_else_is_never_touched(tmp_path):
    (tmp_path / "mini.inter").write_text("mine")
    with pytest.raises(UserError, match="holds something other than"):
        build(tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["mini.inter"]


@pytest.mark.parametrize(
    "sizes, told",
    [
        ({"n_users": 10, "n_requests": 29}, "3 to 12"),
        ({"n_users": 10, "n_requests": 121}, "3 to 12"),
        ({"n_users": 0, "n_requests": 0}, "3 to 12"),
        ({"n_items": 99}, "at least 100"),
    ],
)
def test_impossible_sizes_are_refused(tmp_path, sizes, told):
    with pytest.raises(UserError, match=told):
        build(tmp_path / "mini", **{**TINY, **sizes})
    assert not (tmp_path / "mini").exists()
