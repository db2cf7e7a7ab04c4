"""User studies: what raters are shown, what is stored, and what the report says."""

import contextlib
import csv
import html
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request

import krippendorff
import numpy as np
import pytest
from fastapi.testclient import TestClient
from scipy import stats

from recbole_whisperlite.benchmark.statistics import holm
from recbole_whisperlite.cli import main
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.serve.access import Access
from recbole_whisperlite.serve.study import analysis, plan, rankings, report
from recbole_whisperlite.serve.study.answers import ANSWERS, Answers, read
from recbole_whisperlite.serve.study.make import draw, link, make, read_requests
from recbole_whisperlite.serve.study.rankings import Asked
from recbole_whisperlite.serve.study.web import make_app
from recommend import shops

SCALE = plan.read_scale(plan.DEFAULT_SCALE)
TEXTS = [*shops.REQUESTS, "white shirt", "red shoes"]


@pytest.fixture
def requests(tmp_path):
    path = tmp_path / "asked.csv"
    users = ["u1", "", "u4", "", "", "stranger"]
    lines = [f'"{text}",{user}' for text, user in zip(TEXTS, users)]
    path.write_text("\n".join(["request,user", *lines, '" ",', lines[0]]) + "\n")
    return path


@pytest.fixture
def study(plus, requests, tmp_path):
    """The folder of a study of four models with exported names that tell."""
    folder = tmp_path / "study"
    make(
        [f"telling-name={plus}", "random", "bm25"],
        requests,
        folder,
        n_requests=4,
        ks=[3, 5],
        per_request=2,
        n_raters=3,
        n_checks=2,
        pictures=str(plus.parent / "pictures"),
    )
    return folder


@pytest.fixture
def opened(study):
    """A client of a study that is served, its plan, and its answers."""
    of = plan.read_plan(study)
    answers = Answers(study, of)
    with TestClient(make_app(study, of, answers), "http://127.0.0.1") as client:
        yield client, of, answers


def form(page, options):
    """What a browser sends, by the names and values that stand on a page."""
    named = {}
    for name, value in re.findall(r'name="(entry-\d+)" value="(\d+)"', page):
        named.setdefault(name, []).append(value)
    assert len(named) == len(options)
    return {name: values[o] for (name, values), o in zip(named.items(), options)}


def honest(of, rater, page, judge):
    """What a rater answers who judges (request, item) so and passes every check."""
    shown = of.raters[rater].pages[page]
    request = of.requests[of.lists[shown.shown].request]
    options = [judge(request, of.products[number].item) for number in shown.products]
    if shown.check:
        options.insert(shown.check.place, shown.check.option)
    return options


@contextlib.contextmanager
def served(study, n_raters):
    """Serve a study by the command, in a process of its own; yield the lines with the
    links, and the process."""
    code = "import sys; from recbole_whisperlite.cli import main; main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "study", "serve", str(study), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield [process.stdout.readline().strip() for _ in range(n_raters)], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def written(folder, found, requests, n_raters, n_checks=0, ks=(2,), **options):
    """Write a study of lists that are given, ``{model: item ids of each request}``."""
    asked = [Asked(text, None) for text in requests]
    options = {"per_request": n_raters, "seed": 5, **options}
    lists, made_by, items, raters = draw(
        asked, found, ks, SCALE, n_raters=n_raters, n_checks=n_checks, **options
    )
    of = plan.Plan(
        id="by hand",
        created="2026-01-01",
        scale=SCALE,
        requests=requests,
        products=[plan.Product(item=i, text=f"It is {i}", picture=None) for i in items],
        lists=lists,
        raters=raters,
    )
    key = plan.Key(
        id=of.id,
        models=[plan.Model(name=name, kind=name, source=name) for name in found],
        made_by=made_by,
        users=[None] * len(requests),
        drawn=plan.Drawn(
            requests_file="by hand",
            requests_in_file=len(requests),
            catalogue=len(items),
            per_request=options["per_request"],
            k=list(ks),
            seed=options["seed"],
        ),
    )
    folder.mkdir()
    (folder / plan.PLAN).write_text(of.model_dump_json())
    (folder / plan.KEY).write_text(key.model_dump_json())
    return of, key


def judged(folder, of, judge, raters=None):
    """Let raters answer all their pages by ``judge(rater, request, item)``."""
    answers = Answers(folder, of)
    for rater in range(len(of.raters)) if raters is None else raters:
        for page in range(len(of.raters[rater].pages)):
            says = lambda request, item: judge(rater, request, item)  # noqa: B023, E731
            answers.add(rater, page, honest(of, rater, page, says))
    answers.close()


# ------------------------------------------------------------------------ simulated


@pytest.mark.parametrize("noise", [0.3, 0.8])
def test_the_report_recovers_the_order_of_models_and_the_alpha_of_the_raters(
    tmp_path, noise
):
    rng, n_requests, n_raters, ks = np.random.default_rng(3), 16, 3, (3, 5, 7)
    quality = {"good": 2.0, "fair": 1.3, "poor": 0.6}
    requests = [f"request {number}" for number in range(n_requests)]
    found = {
        model: [[f"{model} {r} {i}" for i in range(7)] for r in range(n_requests)]
        for model in quality
    }
    true = {
        (requests[r], item): quality[model] + rng.normal(scale=0.7)
        for model, lists in found.items()
        for r in range(n_requests)
        for item in lists[r]
    }
    of, key = written(tmp_path / "study", found, requests, n_raters, 3, ks)
    matrix = {}  # what each rater said of a product each time it was shown

    def judge(rater, request, item):
        said = round(true[request, item] + rng.normal(scale=noise))
        said = min(max(said, 0), 3)
        matrix.setdefault((request, item), [[] for _ in range(n_raters)])
        matrix[request, item][rater].append(said)
        return said

    judged(tmp_path / "study", of, judge)
    given = analysis.judgements(of, read(tmp_path / "study", of))
    findings = analysis.find(of, key, given)
    for k in ks:
        means = {model: findings.cells[model, k].mean for model in quality}
        assert sorted(means, key=means.get, reverse=True) == list(quality)
    assert all(pair.mean > 0 and pair.p_holm < 0.05 for pair in findings.pairs)

    # times a product is shown are paired as they come: the order of raters' own differs
    rows = [
        list(itertools.chain.from_iterable(said[rater] for said in matrix.values()))
        for rater in range(n_raters)
    ]
    counts = np.array([[row.count(v) for v in range(4)] for row in zip(*rows)])
    expected = krippendorff.alpha(value_counts=counts, level_of_measurement="ordinal")
    assert findings.alphas[None] == pytest.approx(expected, abs=0.03)
    assert "good is judged above fair for k = 3, 5, 7." in report.summary(findings)


def test_alpha_is_that_of_krippendorffs_own_example():
    nan = np.nan  # Krippendorff, Computing Krippendorff's Alpha-Reliability, example C
    given = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
        ]
    )
    assert analysis.alpha(given, [1, 2, 3, 4, 5]) == pytest.approx(0.815, abs=5e-4)
    assert np.isnan(analysis.alpha(given[:1], [1, 2, 3, 4, 5]))
    assert np.isnan(analysis.alpha(np.ones((2, 3)), [0, 1]))


def test_means_tests_and_alpha_of_a_tiny_study_are_those_by_hand(tmp_path):
    found = {
        "a": [["x", "y"], ["x", "z"], ["y", "z"]],
        "b": [["z", "v"], ["v", "w"], ["w", "x"]],
    }
    said = {  # by request and item, the same from both raters but for one
        ("0", "x"): 3, ("0", "y"): 2, ("0", "z"): 1, ("0", "v"): 0,
        ("1", "x"): 2, ("1", "z"): 1, ("1", "v"): 1, ("1", "w"): 1,
        ("2", "y"): 3, ("2", "z"): 3, ("2", "w"): 0, ("2", "x"): 2,
    }  # fmt: skip
    of, key = written(tmp_path / "study", found, ["0", "1", "2"], 2)

    def judge(rater, request, item):
        return 2 if (rater, request, item) == (1, "0", "v") else said[request, item]

    judged(tmp_path / "study", of, judge)
    findings = analysis.find(of, key, analysis.judgements(of, read_all(tmp_path, of)))
    # of the requests: a 2.5, 1.5, 3; b (.5 and 1.5) 1, 1, 1
    assert findings.cells["a", 2].mean == pytest.approx(7 / 3)
    assert findings.cells["b", 2].mean == pytest.approx(1)
    assert findings.cells["b", 2].low == findings.cells["b", 2].high == 1
    (pair,) = findings.pairs
    # differences 1.5, .5, 2: mean 4/3, s² 7/12
    t = (4 / 3) / np.sqrt(7 / 12 / 3)
    assert pair.mean == pytest.approx(4 / 3)
    assert pair.p == pair.p_holm == pytest.approx(2 * stats.t.sf(t, 2))
    half = stats.t.ppf(0.975, 2) * np.sqrt(7 / 12 / 3)
    assert (pair.low, pair.high) == pytest.approx((4 / 3 - half, 4 / 3 + half))
    assert findings.cells["b", 2].shares == pytest.approx(
        [3 / 12, 6 / 12, 3 / 12, 0]  # both raters: 1 0 1 1 0 2 and 1 2 1 1 0 2
    )
    counts = np.array([[2 * (v == s) for v in range(4)] for s in said.values()])
    counts[3] = [1, 0, 1, 0]
    expected = krippendorff.alpha(value_counts=counts, level_of_measurement="ordinal")
    assert findings.alphas == {
        2: pytest.approx(expected),
        None: pytest.approx(expected),
    }
    assert findings.n_answers == 24
    one_user = key.model_copy(update={"users": ["u1"] * 3})  # no sample of users
    findings = analysis.find(
        of, one_user, analysis.judgements(of, read_all(tmp_path, of))
    )
    assert findings.cells["a", 2].mean == pytest.approx(7 / 3)
    assert np.isnan([findings.pairs[0].p_holm, findings.cells["a", 2].low]).all()


def read_all(tmp_path, of):
    return read(tmp_path / "study", of)


def test_holm_corrects_over_all_pairs_and_sizes(tmp_path):
    rng = np.random.default_rng(0)
    items = {model: [f"{model}{i}" for i in range(3)] for model in "abc"}
    found = {model: [items[model]] * 6 for model in "abc"}
    requests = [f"request {number}" for number in range(6)]
    of, key = written(tmp_path / "study", found, requests, 1, ks=(1, 3))
    chances = {"a": 2.2, "b": 1.6, "c": 0.8}
    judged(
        tmp_path / "study",
        of,
        lambda rater, request, item: int(np.clip(rng.normal(chances[item[0]]), 0, 3)),
    )
    pairs = analysis.find(
        of, key, analysis.judgements(of, read_all(tmp_path, of))
    ).pairs
    assert len(pairs) == 6
    ascending, running, expected = sorted(pairs, key=lambda pair: pair.p), 0.0, {}
    for place, pair in enumerate(ascending):
        running = max(running, min((6 - place) * pair.p, 1.0))
        expected[pair.model, pair.other, pair.k] = running
    for pair in pairs:
        assert pair.p_holm == pytest.approx(expected[pair.model, pair.other, pair.k])
    assert [pair.p_holm for pair in pairs] == holm([pair.p for pair in pairs])


def test_a_severe_rater_who_judged_one_of_two_models_does_not_shift_their_difference(
    tmp_path,
):
    requests = [f"request {number}" for number in range(4)]
    found = {"a": [["x"]] * 4, "b": [["y"]] * 4}
    of, key = written(tmp_path / "study", found, requests, 2, ks=(1,))
    answers = Answers(tmp_path / "study", of)
    for rater, judge in enumerate([{"x": 3, "y": 2}, {"x": 0, "y": None}]):
        for page, shown in enumerate(of.raters[rater].pages):
            said = judge[of.products[shown.products[0]].item]
            if said is not None:
                answers.add(rater, page, [said])
    answers.close()
    findings = analysis.find(of, key, analysis.judgements(of, read_all(tmp_path, of)))
    assert findings.cells["a", 1].mean == 1.5
    assert findings.pairs[0].mean == 1  # of the first rater, who judged both


# ----------------------------------------------------------------------------- make


def test_a_study_has_all_lists_of_each_request_for_the_raters_wanted(study, plus):
    of = plan.read_plan(study)
    key = plan.read_key(study, of)
    assert len(of.requests) == len({*of.requests}) == 4 and {*of.requests} <= {*TEXTS}
    made = [
        (shown.request, shown.k, model)
        for shown, models in zip(of.lists, key.made_by)
        for model in models
    ]
    models = ("telling-name", "Random", "BM25")
    assert sorted(made) == sorted(itertools.product(range(4), (3, 5), models))
    for shown in of.lists:
        assert len({*shown.products}) == len(shown.products) == shown.k
    for request in range(4):
        wanted = {n for n, shown in enumerate(of.lists) if shown.request == request}
        seen = [wanted & {page.shown for page in r.pages} for r in of.raters]
        assert sorted(map(len, seen)) == [0, len(wanted), len(wanted)]
    for rater in of.raters:
        assert sum(page.check is not None for page in rater.pages) == 2
    rows = list(csv.DictReader(open(study / "raters.csv")))
    assert [row["link"] for row in rows] == [link(rater) for rater in of.raters]
    assert {path.name for path in study.iterdir()} == {
        *("study.json", "key.json", "raters.csv", "pictures")
    }
    shown = [product.picture for product in of.products if product.picture]
    assert shown and all((study / "pictures" / name).stat().st_size for name in shown)


def test_order_differs_between_raters_in_lists_and_within_them(study):
    of = plan.read_plan(study)
    for one, other in itertools.combinations(of.raters, 2):
        shared = {p.shown for p in one.pages} & {p.shown for p in other.pages}
        orders = [[p for p in r.pages if p.shown in shared] for r in (one, other)]
        assert [p.shown for p in orders[0]] != [p.shown for p in orders[1]]
        by_list = [{p.shown: p.products for p in order} for order in orders]
        assert any(by_list[0][n] != by_list[1][n] for n in shared)
    places = [p.check.place for r in of.raters for p in r.pages if p.check]
    assert len({*places}) > 1


def test_lists_of_the_same_products_are_judged_once_and_count_for_both(tmp_path):
    found = {"a": [["x", "y"]], "b": [["y", "x"]], "c": [["x", "z"]]}
    of, key = written(tmp_path / "study", found, ["a request"], 2)
    assert sorted(key.made_by) == [["a", "b"], ["c"]]
    judged(tmp_path / "study", of, lambda rater, request, item: "zxy".index(item))
    cells = analysis.find(
        of, key, analysis.judgements(of, read_all(tmp_path, of))
    ).cells
    assert [cells[model, 2].mean for model in "abc"] == [1.5, 1.5, 0.5]


def test_baselines_leave_out_the_history_and_bm25_is_that_of_the_model(plus, bm25):
    from recbole_whisperlite import Recommender

    shop, other = Recommender.load(plus), Recommender.load(bm25)
    asked = [Asked(text, user) for text in TEXTS for user in (None, "u1", "u4")]
    seen = {"u1": {*shop.history("u1")}, "u4": {*shop.history("u4")}, None: set()}
    for each, items in zip(asked, rankings.at_random(shop, 0)(asked, 4)):
        assert len({*items} - seen[each.user]) == 4
    many = [Asked("a request", None)] * 600
    first = [items[0] for items in rankings.at_random(shop, 0)(many, 1)]
    counts = [first.count(item) for item in shops.IDS]
    assert stats.chisquare(counts).pvalue > 1e-4
    for each, items in zip(asked, rankings.bm25(shop, 0)(asked, 3)):
        scores = {one.item: one.score for one in other.recommend(*each, k=12)}
        best = sorted(scores.values(), reverse=True)[:3]
        # k1 differs a little, so only those that share no word may change places
        assert [scores[i] > 0 for i in items] == [value > 0 for value in best]
        assert {*items}.isdisjoint(seen[each.user])


def test_requests_are_drawn_once_each_and_blank_ones_left_out(requests):
    asked, n_known = read_requests(requests, 99, 0)
    assert n_known == 6 and sorted(each.request for each in asked) == sorted(TEXTS)
    assert read_requests(requests, 3, 0)[0] == asked[:3] or len({*asked[:3]}) == 3
    assert read_requests(requests, 3, 1) == read_requests(requests, 3, 1)


# ------------------------------------------------------------------------------ web


def test_raters_judge_resume_and_correct_through_the_pages(opened, study):
    client, of, answers = opened
    rater = of.raters[1]
    start = client.get(link(rater))
    assert start.status_code == 200 and SCALE.title in start.text
    assert f"{len(rater.pages)} lists" in start.text
    for number in range(len(rater.pages)):
        page = client.get(link(rater) if number else f"{link(rater)}/1")
        assert page.url.path == f"{link(rater)}/{number + 1}"
        assert f"List {number + 1} of {len(rater.pages)}" in page.text
        shown = of.lists[rater.pages[number].shown]
        assert html.unescape(page.text).count(of.requests[shown.request]) == 1
        options = honest(of, 1, number, lambda request, item: len(item) % 4)
        sent = client.post(page.url.path, data=form(page.text, options))
        assert sent.history[0].status_code == 303 and sent.status_code == 200
        assert answers.of(1)[number].options == options
    assert "Thank you" in client.get(link(rater)).text
    # what was said stands on the page, and can be corrected
    page = client.get(f"{link(rater)}/2")
    chosen = re.findall(r'value="(\d)" required checked', page.text)
    assert list(map(int, chosen)) == answers.of(1)[1].options
    other = [3 - option for option in answers.of(1)[1].options]
    client.post(page.url.path, data=form(page.text, other))
    assert answers.of(1)[1].options == read(study, of)[1, 1].options == other
    assert len(read(study, of)) == len(rater.pages)


def test_no_page_tells_which_model_made_a_list(opened):
    client, of, answers = opened
    sent = [client.get("/style.css"), client.get("/"), client.get("/healthz")]
    for number, rater in enumerate(of.raters):
        sent.append(client.get(link(rater)))
        for page in range(len(rater.pages)):
            sent.append(client.get(f"{link(rater)}/{page + 1}"))
            options = honest(of, number, page, lambda request, item: 1)
            sent.append(
                client.post(
                    f"{link(rater)}/{page + 1}", data=form(sent[-1].text, options)
                )
            )
    assert len(sent) > 40
    for response in sent:
        said = f"{response.text} {response.headers}".lower()
        for word in ("telling", "bm25", "whisper", "random", "score", "rank", "k ="):
            assert word not in re.sub(r"benchmark|whisper_lite", "", said), word
    # item ids could tell, too
    assert "i11" not in "".join(response.text for response in sent[3:])
    for path in ("/key.json", "/study.json", "/answers.jsonl", "/raters.csv"):
        assert client.get(path).status_code == 404
    for name in ("../key", "%2e%2e/key", "..%2fkey"):
        path = f"{link(of.raters[0])}/pictures/{name}.jpg"
        assert client.get(path).status_code == 404


def test_pages_are_safe_and_accessible(opened):
    client, of, _ = opened
    page = client.get(f"{link(of.raters[0])}/1")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.text and " style=" not in page.text
    assert re.search(r'<html lang="\w+"', page.text)
    n = of.raters[0].pages[0].n_entries
    assert page.text.count("<fieldset") == page.text.count("<legend") == n
    assert len(re.findall(r"<label><input", page.text)) == 4 * n
    names = re.findall(r'src="([^"]+)"', page.text)
    for name in names:
        picture = client.get(name)
        assert picture.headers["content-type"] == "image/jpeg" and picture.content


def test_texts_are_escaped(tmp_path):
    of, _ = written(tmp_path / "study", {"a": [["<b>&"]]}, ['"><script>x'], 1, ks=(1,))
    answers = Answers(tmp_path / "study", of)
    with TestClient(
        make_app(tmp_path / "study", of, answers), "http://127.0.0.1"
    ) as client:
        page = client.get(f"{link(of.raters[0])}/1").text
    assert "<script>" not in page and "<b>" not in page
    assert '"><script>x' in html.unescape(page) and "It is <b>&" in html.unescape(page)


def test_wrong_forms_and_links_are_refused_in_sentences(opened, study):
    client, of, answers = opened
    rater = of.raters[0]
    path, n = f"{link(rater)}/1", rater.pages[0].n_entries
    page = client.get(path).text
    some = form(page, [2] * n)
    del some["entry-2"]
    sent = client.post(path, data=some)
    assert sent.status_code == 422 and 'href="#entry-2-0"' in sent.text
    assert "Missing" in sent.text and sent.text.count("required checked") == n - 1
    for data, said in (
        ({**some, "entry-2": "4"}, "Entry 2"),
        ({**some, "entry-2": "-1"}, "Entry 2"),
        ({**some, "entry-2": "<i>"}, "&lt;i&gt;"),
        ({f"entry-{number}": "1" for number in range(200)}, "no answer"),
    ):
        sent = client.post(path, data=data)
        assert sent.status_code == 422 and said in sent.text, data
    assert client.post(path, content=b"\xff\xfe").status_code == 422
    assert client.post(path, content=b"x" * (13 * 2**20)).status_code == 413
    later = client.post(f"{link(rater)}/5", data={"entry-1": "1"})
    assert later.status_code == 409 and "comes later" in later.text
    assert client.get(f"{link(rater)}/5").url.path == path
    for wrong in ("/r/nobody", "/r/nobody/1", "/nowhere", f"{link(rater)}/x", "/"):
        response = client.get(wrong)
        assert response.status_code in (404, 422) and "<h1>" in response.text
        assert "link" in response.text and "Traceback" not in response.text
    assert (
        client.post(path, data=some, headers={"Origin": "http://evil"}).status_code
        == 403
    )
    assert client.get(path, headers={"Host": "evil"}).status_code == 421
    assert not answers.of(0) and not read(study, of)


def test_a_browser_fills_in_the_pages_by_the_keyboard_alone(study):
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium")
    of = plan.read_plan(study)
    with served(study, len(of.raters)) as (told, _), sync_api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_context(java_script_enabled=False).new_page()
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(told[0].rpartition(": ")[2])
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/1")
        page.keyboard.press("Tab")  # the request, which may scroll
        for entry in range(of.raters[0].pages[0].n_entries):
            page.keyboard.press("Tab")
            page.keyboard.press("Space")
            for _ in range(entry % 4):
                page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url("**/2")
        page.set_viewport_size({"width": 400, "height": 700})
        wide = page.locator("html").bounding_box()["width"]
        browser.close()
    expected = [entry % 4 for entry in range(of.raters[0].pages[0].n_entries)]
    assert read(study, of)[0, 0].options == expected and not said and wide == 400


def test_how_far_raters_are_is_told_to_the_owner_only(study):
    of = plan.read_plan(study)
    for rules, headers, status in (
        (Access(), {}, 200),
        (Access(None, False, True), {}, 403),
        (Access("t" * 20, False), {"Authorization": "Bearer " + "t" * 20}, 200),
        (Access("t" * 20, False), {}, 403),
    ):
        app = make_app(study, of, Answers(study, of), rules)
        with TestClient(app, "http://127.0.0.1") as client:
            response = client.get("/progress", headers=headers)
            assert response.status_code == status
            n = len(of.raters[0].pages)
            if status == 200:
                assert response.json()[0] == {"rater": "rater 1", "judged": 0, "of": n}
            assert client.get(link(of.raters[0])).status_code == 200


# -------------------------------------------------------------------------- answers


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(study):
    of = plan.read_plan(study)
    for round_ in range(2):
        with served(study, len(of.raters)) as (told, process):
            assert f"{2 * round_} of {len(of.raters[0].pages)} judged" in told[0]
            with pytest.raises(UserError, match="served by another process"):
                Answers(study, of)
            address = told[0].rpartition(": ")[2]
            for page in (2 * round_, 2 * round_ + 1):
                options = honest(of, 0, page, lambda request, item: page % 4)
                data = {f"entry-{n + 1}": option for n, option in enumerate(options)}
                body = urllib.parse.urlencode(data).encode()
                with urllib.request.urlopen(f"{address}/{page + 1}", body) as done:
                    assert done.status == 200
            process.kill()
        stored = read(study, of)
        assert sorted(stored) == [(0, page) for page in range(2 * round_ + 2)]
        # what a killed process had not finished
        with open(study / ANSWERS, "a") as file:
            file.write('{"study": "' + of.id + '", "time": 1.0, "ra')
        assert read(study, of) == stored


def test_a_torn_line_is_cut_off_and_a_damaged_one_named(study):
    of = plan.read_plan(study)
    answers = Answers(study, of)
    answers.add(0, 0, [1] * of.raters[0].pages[0].n_entries)
    answers.close()
    whole = (study / ANSWERS).read_bytes()
    (study / ANSWERS).write_bytes(whole + whole[:20])
    answers = Answers(study, of)
    answers.add(0, 1, [2] * of.raters[0].pages[1].n_entries)
    answers.close()
    assert (study / ANSWERS).read_bytes().startswith(whole + b'{"study"')
    assert sorted(read(study, of)) == [(0, 0), (0, 1)]
    line = json.loads(whole)
    for harmed, said in (
        (b"{]\n", "damaged"),
        (b"[1]\n", "damaged"),
        (json.dumps({**line, "options": [9]}).encode() + b"\n", "another study"),
        (json.dumps({**line, "rater": 77}).encode() + b"\n", "another study"),
        (json.dumps({**line, "study": "x"}).encode() + b"\n", "another study"),
    ):
        (study / ANSWERS).write_bytes(whole + harmed)
        with pytest.raises(UserError, match=f"line 2: .*{said}"):
            read(study, of)


def test_an_answer_that_the_disk_does_not_take_is_not_acknowledged(
    opened, study, monkeypatch
):
    client, of, answers = opened
    path, n = f"{link(of.raters[0])}/1", of.raters[0].pages[0].n_entries
    data = {f"entry-{number + 1}": 1 for number in range(n)}
    real = os.write

    def half(file, content):
        return real(file, content[:20]) if content.startswith(b'{"study"') else 0

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        sent = client.post(path, data=data)
    assert sent.status_code == 503 and "not stored" in sent.text
    assert not answers.of(0) and (study / ANSWERS).read_bytes() == b""
    assert client.post(path, data=data).status_code == 200 and len(answers.of(0)) == 1


# --------------------------------------------------------------------------- report


def test_who_fails_the_checks_is_left_out_and_figures_are_shown_both_ways(
    tmp_path, capsys
):
    requests = [f"request {number}" for number in range(5)]
    found = {"good": [["x", "y"]] * 5, "<poor>": [["v", "w"]] * 5}
    folder = tmp_path / "study"
    of, key = written(folder, found, requests, 3, n_checks=3)
    judged(folder, of, lambda rater, request, item: 2 + (item in "xy"), raters=[0, 1])
    answers = Answers(folder, of)
    for page, shown in enumerate(of.raters[2].pages):
        options = [0] * shown.n_entries
        if shown.check:
            options[shown.check.place] = (shown.check.option + 1) % 4
        answers.add(2, page, options)
    answers.close()
    assert main(["study", "report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert (
        "Left out, as half of the checks or more were failed: rater 3 (3 of 3)." in said
    )
    without, everybody = said.split("## With all raters")
    assert "| good | 3.00" in without and "| good | 2.00" in everybody
    assert "Of 9 attention checks, 3 were failed." in said
    page = (folder / "report.html").read_text()
    assert "&lt;poor&gt;" in page and "<poor>" not in page and "<script" not in page
    assert not re.search(r'(src|href)="(?!#)', page)
    rows = list(csv.DictReader(open(folder / "answers.csv")))
    assert len(rows) == sum(p.n_entries for r in of.raters for p in r.pages)
    for row in rows:
        assert row["excluded"] == str(int(row["rater"] == "rater 3"))
        if row["kind"] == "check":
            assert (row["value"] == row["expected"]) == (row["excluded"] == "0")
        elif row["excluded"] == "0":
            assert row["value"] == str(2 + (row["item"] in "xy"))
            assert row["models"] == ("good" if row["item"] in "xy" else "<poor>")


def test_one_failed_check_of_three_is_forgiven(tmp_path):
    of, key = written(tmp_path / "study", {"a": [["x"]] * 4}, list("pqrs"), 1, 3, (1,))
    said, failed = {}, False
    for page, shown in enumerate(of.raters[0].pages):
        options = honest(of, 0, page, lambda request, item: 1)
        if shown.check and not failed:
            options[shown.check.place] = (shown.check.option + 1) % 4
            failed = True
        said[0, page] = analysis.Judged(options, 0.0)
    (checked,) = analysis.check(of, said)
    assert (checked.n_checks, checked.n_failed) == (3, 1) and not checked.is_excluded


def test_no_answers_and_few_are_told_in_sentences(study, capsys):
    assert main(["study", "report", str(study)]) == 2
    assert "has no answers yet" in capsys.readouterr().err
    assert not (study / "report.html").exists()
    of = plan.read_plan(study)
    answers = Answers(study, of)
    answers.add(0, 0, [1] * of.raters[0].pages[0].n_entries)
    answers.close()
    assert main(["study", "report", str(study), "--output", "new/page.html"]) == 0
    said = capsys.readouterr().out
    assert "1 rater of 3 judged 1 list for 4 requests; 0 judged all of theirs." in said
    assert "Krippendorff's alpha: – " in said and "nan" not in said
    assert "nan" not in re.sub(r"<style>.*?</style>", "", open("new/page.html").read())
    assert open("new/answers.csv").readline().startswith("time,rater,")


# ------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "change, said",
    [
        ("options: []", "options"),
        ("options: [{value: 1, label: a}, {value: 0, label: b}]", "must rise"),
        ("options: [{value: 0, label: a}, {value: 1, label: a}]", "same label"),
        ("options: [{value: 0, label: no}, {value: 1, label: yes}]", "options.0.label"),
        ("attention: choose well", "{label}"),
        ("questions: which", "questions"),
        ("title: [", "not yaml"),
    ],
)
def test_a_wrong_scale_is_refused_in_a_sentence(tmp_path, change, said):
    path = tmp_path / "scale.yaml"
    default = plan.DEFAULT_SCALE.read_text()
    key = change.partition(":")[0]
    kept = re.sub(rf"^{key}:.*\n(?:[ ].*\n)*", "", default, flags=re.MULTILINE)
    path.write_text(f"{kept}\n{change}\n")
    with pytest.raises(UserError) as error:
        plan.read_scale(path)
    assert said in str(error.value) and str(path) in str(error.value)


def test_wrong_arguments_are_refused_before_anything_is_written(
    plus, requests, tmp_path, capsys
):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    (tmp_path / "long.csv").write_text("request\nred\n" + "x" * 20_001)
    (tmp_path / "half.jsonl").write_text('{"request": "\\ud800"}')
    (tmp_path / "blank.csv").write_text('request\n" "\n')
    for changed, said in (
        ({"--models": ["random", "bm25"]}, "give an exported model"),
        ({"--models": [str(plus), "random", "random"]}, "two are called Random"),
        ({"--models": [str(plus), f"{plus}/"]}, "--models: "),
        ({"--models": [str(tmp_path / "nowhere")]}, "nowhere"),
        ({"--requests": [str(tmp_path / "blank.csv")]}, "not blank"),
        ({"--requests": [str(tmp_path / "none.csv")]}, "no file"),
        ({"--requests": [str(tmp_path / "long.csv")]}, "line 3: "),
        ({"--requests": [str(tmp_path / "half.jsonl")]}, "line 1: "),
        ({"--output": [str(tmp_path / "full")]}, "exists"),
        ({"--raters": ["2"]}, "at least 3"),
        ({"--scale": [str(tmp_path / "none.yaml")]}, "none.yaml"),
    ):
        options = {
            "--models": [str(plus), "random"],
            "--requests": [str(requests)],
            "--output": [str(tmp_path / "study")],
            **changed,
        }
        flags = [word for name, values in options.items() for word in (name, *values)]
        before = sorted(tmp_path.iterdir())
        assert main(["study", "make", *flags]) == 2, changed
        err = capsys.readouterr().err
        assert said in err and "Traceback" not in err
        assert sorted(tmp_path.iterdir()) == before


def test_damaged_studies_are_refused_in_sentences(study, tmp_path, capsys):
    for name in ("serve", "report"):
        assert main(["study", name, str(tmp_path)]) == 2
        assert "is no study" in capsys.readouterr().err
    whole = (study / plan.PLAN).read_text()
    harmed = json.loads(whole)
    harmed["raters"][0]["pages"][0]["shown"] = 999
    for text, said in (
        (whole[:500], "not JSON"),
        ("[]", "study.json"),
        (json.dumps(harmed), "a list that is not there"),
    ):
        (study / plan.PLAN).write_text(text)
        assert main(["study", "report", str(study)]) == 2
        assert said in capsys.readouterr().err
    (study / plan.PLAN).write_text(whole)
    key = json.loads((study / plan.KEY).read_text())
    (study / plan.KEY).write_text(json.dumps({**key, "id": "another"}))
    assert main(["study", "report", str(study)]) == 2
    assert "another study" in capsys.readouterr().err


def test_other_machines_reach_a_study_only_if_its_owner_says_so(study, capsys):
    assert main(["study", "serve", str(study), "--host", "0.0.0.0"]) == 2
    assert "--open" in capsys.readouterr().err


def test_a_study_that_the_disk_does_not_take_leaves_nothing(
    plus, requests, tmp_path, monkeypatch, capsys
):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv, "writer", full)
    flags = ["--models", str(plus), "--requests", str(requests)]
    assert main(["study", "make", *flags, "--output", str(tmp_path / "s")]) == 2
    assert "No space left" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["asked.csv"]


def test_one_model_alone_has_means_and_nothing_to_compare(tmp_path, capsys):
    of, _ = written(tmp_path / "study", {"a": [["x"]] * 3}, list("pqr"), 2, ks=(1,))
    judged(tmp_path / "study", of, lambda rater, request, item: "pqr".index(request))
    assert main(["study", "report", str(tmp_path / "study")]) == 0
    said = capsys.readouterr().out
    assert "| a | 1.00 [-1.48, 3.48] |" in said and "difference" not in said
    assert "Differences" not in (tmp_path / "study" / "report.html").read_text()


def test_make_says_what_comes_next(plus, requests, tmp_path, capsys):
    flags = ["--n-requests", "2", "--k", "2", "--output", str(tmp_path / "s")]
    models = ["--models", str(plus), "bm25", "--requests", str(requests)]
    assert main(["study", "make", *models, *flags]) == 0
    said = capsys.readouterr().out
    assert "2 requests" in said and "3 raters" in said and "study serve" in said
    flags[1], flags[-1] = "6", str(tmp_path / "t")
    assert main(["study", "make", *models, *flags]) == 0
    assert "does not know 1 of the 3 users" in capsys.readouterr().err
    assert len(plan.read_plan(tmp_path / "s").raters) == 3
