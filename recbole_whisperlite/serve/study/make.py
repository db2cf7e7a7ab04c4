"""Draws a study: requests, lists, who judges what, in which order, and attention checks."""

from __future__ import annotations

import csv
import datetime
import random
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from recbole_whisperlite.encoder.pictures import some
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import check_folder, part_folder
from recbole_whisperlite.recommend.requests_file import RequestsFile
from recbole_whisperlite.serve import shops
from recbole_whisperlite.serve.problems import Problem
from recbole_whisperlite.serve.study import plan, rankings
from recbole_whisperlite.serve.study.rankings import Asked

PICTURES, RATERS = "pictures", "raters.csv"
# Bytes of the secret in a rater's link.
_SECRET = 16
# Seconds before a progress bar is shown.
_DELAY = 2


def read_requests(path: str | Path, n: int, seed: int) -> tuple[list[Asked], int]:
    """Draw requests from a file, each (request, user) once and none that is blank.

    Args:
        path (str or Path): As for :class:`RequestsFile`.
        n (int): How many; all if there are fewer.
        seed (int): For the drawing.

    Returns:
        tuple: The requests (list of :class:`Asked`), and how many they were drawn from.

    Raises:
        UserError: If the file is malformed, or all its requests are blank.
    """
    file = RequestsFile(path)
    known = {}
    for each in file:
        text = each.request.strip()
        if len(text) > plan.MOST_TEXT or not _is_unicode(text + (each.user or "")):
            raise UserError(
                f"{path}, {each.where}: a request that raters read has at most "
                f"{plan.MOST_TEXT:,} characters, all of them Unicode; this one does not."
            )
        if text:
            known[Asked(text, each.user)] = None
    if not known:
        raise UserError(f"{path} has no request that is not blank.")
    return random.Random(seed).sample([*known], min(n, len(known))), len(known)


def _is_unicode(text):
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can hold
        return False
    return True


def draw(
    asked: Sequence[Asked],
    found: Mapping[str, Sequence[Sequence[str]]],
    ks: Sequence[int],
    scale: plan.Scale,
    *,
    n_raters: int,
    per_request: int,
    n_checks: int,
    seed: int,
) -> tuple[list[plan.Shown], list[list[str]], list[str], list[plan.Rater]]:
    """Draw lists and raters' pages.

    Lists of one request and size that hold the same products are one list, which is
    judged once and counts for all models that made it. Lists, and products in a list,
    are in an order of each rater's own.

    Args:
        asked (list of Asked): The requests.
        found (dict): ``{model: item ids of each request, best first}``.
        ks (list of int): The sizes of lists.
        scale (plan.Scale): For the answers of attention checks.
        n_raters (int): How many raters there are.
        per_request (int): How many of them judge each request, with all its lists.
        n_checks (int): Attention checks of each rater; one page has one at most.
        seed (int): For all that is drawn, but for the secrets of links.

    Returns:
        tuple: The lists; which models made each; the ids of the products, by number;
        and the raters.
    """
    rng = random.Random(seed)
    made_by = {}
    for number in range(len(asked)):
        for k in ks:
            for model, lists in found.items():
                key = number, k, frozenset(lists[number][:k])
                made_by.setdefault(key, []).append(model)
    keys = [key for key in made_by if key[2]]
    rng.shuffle(keys)  # a number must not tell the model
    items = sorted({item for *_, of_list in keys for item in of_list})
    number_of = {item: number for number, item in enumerate(items)}
    lists = [
        plan.Shown(request=request, k=k, products=sorted(map(number_of.get, of_list)))
        for request, k, of_list in keys
    ]
    raters = [
        plan.Rater(
            name=f"rater {rater + 1}",
            secret=secrets.token_urlsafe(_SECRET),
            pages=_pages(lists, requests, scale, n_checks, rng),
        )
        for rater, requests in enumerate(
            _shares(len(asked), n_raters, per_request, rng)
        )
    ]
    return lists, [made_by[key] for key in keys], items, raters


def _shares(n_requests, n_raters, per_request, rng):
    """Return the requests of each rater: equally many for all, but for one."""
    shares = [set() for _ in range(n_raters)]
    for request in rng.sample(range(n_requests), n_requests):
        by_load = sorted(shares, key=lambda share: (len(share), rng.random()))
        for share in by_load[:per_request]:
            share.add(request)
    return shares


def _pages(lists, requests, scale, n_checks, rng):
    own = [number for number, shown in enumerate(lists) if shown.request in requests]
    rng.shuffle(own)
    checked = {*rng.sample(range(len(own)), min(n_checks, len(own)))}
    pages = []
    for place, number in enumerate(own):
        products = list(lists[number].products)
        rng.shuffle(products)
        check = None
        if place in checked:
            check = plan.Check(
                place=rng.randrange(len(products) + 1),
                option=rng.randrange(len(scale.options)),
            )
        pages.append(plan.Page(shown=number, products=products, check=check))
    return pages


def make(
    models: Sequence[str],
    requests: str | Path,
    output: str | Path,
    *,
    n_requests: int,
    ks: Sequence[int],
    per_request: int,
    n_raters: int | None = None,
    n_checks: int = 3,
    scale: str | Path = plan.DEFAULT_SCALE,
    seed: int = 0,
    pictures: str | None = None,
    own_code: bool = False,
) -> plan.Plan:
    """Draw a study and write it as a folder, whole or not at all.

    Args:
        models (list of str): ``folder`` or ``name=folder`` of exported models, and the
            words of :data:`rankings.BASELINES`.
        requests (str or Path): A file of requests.
        output (str or Path): The folder; it must not exist, or be empty.
        n_requests (int): How many requests are drawn from the file.
        ks (list of int): The sizes of lists.
        per_request (int): How many raters judge each request.
        n_raters (int, optional): How many there are; by default ``per_request``.
        n_checks (int): Attention checks of each rater.
        scale (str or Path): A yaml file.
        seed (int): For all that is drawn.
        pictures (str, optional), own_code (bool): As for :meth:`Recommender.load`.

    Returns:
        plan.Plan: As it was written.

    Raises:
        UserError: If an argument, a file or a model cannot be used.
    """
    output, ks = Path(output), sorted({*ks})
    n_raters = per_request if n_raters is None else n_raters
    if n_raters < per_request:
        raise UserError(
            f"--raters {n_raters}: {per_request} raters are to judge each request "
            f"(--per-request), so there must be at least {per_request}."
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(
            f"--output {output} exists. Choose another folder: a study that was drawn "
            "anew would not fit the answers to the old one."
        )
    check_folder(output, "--output")
    of_scale = plan.read_scale(scale)
    asked, n_known = read_requests(requests, n_requests, seed)
    sources, of_name = _loaded(models, pictures, own_code)
    first = next(iter(of_name.values()))
    _say_who_is_unknown(asked, of_name)
    found = _found(_rankers(sources, of_name, seed), asked, max(ks))
    lists, made_by, items, raters = draw(
        asked,
        found,
        ks,
        of_scale,
        n_raters=n_raters,
        per_request=per_request,
        n_checks=n_checks,
        seed=seed,
    )
    if not lists:
        raise UserError("No model found any product for these requests.")
    key = plan.Key(
        id=secrets.token_hex(8),
        models=[
            plan.Model(
                name=name,
                kind=of_name[name].recommender.model if name in of_name else name,
                source=source,
            )
            for name, source in sources.items()
        ],
        made_by=made_by,
        users=[each.user for each in asked],
        drawn=plan.Drawn(
            requests_file=str(requests),
            requests_in_file=n_known,
            catalogue=len(first.recommender),
            per_request=per_request,
            k=ks,
            seed=seed,
        ),
    )
    try:
        return _write(output, of_scale, asked, lists, items, raters, key, of_name)
    except OSError as error:
        raise UserError(
            f"--output {output} cannot be written ({error.strerror})."
        ) from None


def _write(output, scale, asked, lists, items, raters, key, of_name):
    output.parent.mkdir(parents=True, exist_ok=True)
    with part_folder(output) as folder:
        written = plan.Plan(
            id=key.id,
            created=datetime.datetime.now(datetime.timezone.utc).isoformat(),
            scale=scale,
            requests=[each.request for each in asked],
            products=_products(items, list(of_name.values()), folder / PICTURES),
            lists=lists,
            raters=raters,
        )
        (folder / plan.PLAN).write_text(written.model_dump_json(indent=1), "utf-8")
        (folder / plan.KEY).write_text(key.model_dump_json(indent=1), "utf-8")
        with open(folder / RATERS, "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["rater", "link"])
            rows.writerows([rater.name, link(rater)] for rater in raters)
        folder.replace(output)
    return written


def link(rater: plan.Rater) -> str:
    """Return the path of a rater's page."""
    return f"/r/{rater.secret}"


def _loaded(models, pictures, own_code):
    """Return ``{name: source}`` of all, and ``{name: Shop}`` of the exported ones."""
    exported = [each for each in models if each not in rankings.BASELINES]
    exported = shops.named(exported, "--models")
    if not exported:
        raise UserError(
            f"--models {' '.join(models)}: give an exported model, too; it says which "
            "products there are."
        )
    sources, names = {}, iter(exported.items())
    for each in models:
        if each in rankings.BASELINES:
            name, source = rankings.BASELINES[each][0], each
        else:
            name, source = next(names)
        if name in sources:
            raise UserError(f"--models: two are called {name}. Write name=folder.")
        sources[name] = source
    options = {"pictures": pictures, "own_code": own_code}
    return sources, {n: shops.Shop(n, s, options) for n, s in exported.items()}


def _rankers(sources, of_name, seed):
    first = next(iter(of_name.values())).recommender
    return {
        name: (
            rankings.of_model(of_name[name].recommender)
            if name in of_name
            else rankings.BASELINES[source][1](first, seed)
        )
        for name, source in sources.items()
    }


def _say_who_is_unknown(asked, of_name):
    users = {each.user for each in asked} - {None}
    for name, shop in of_name.items():
        unknown = [user for user in users if user not in (shop.recommender.users or ())]
        if unknown:
            print(
                f"{name} does not know {len(unknown)} of the {len(users)} users, and "
                "answers them like anybody.",
                file=sys.stderr,
            )


def _found(rankers, asked, k):
    """Return ``{model: item ids of each request}``."""
    found = {}
    with tqdm(
        total=len(rankers) * len(asked), desc="ranking", unit="list", delay=_DELAY
    ) as bar:
        for name, rank in rankers.items():
            found[name] = []
            for items in rank(asked, k):
                found[name].append(items)
                bar.update()
    return found


def _products(items, of_models, folder):
    """Return the products, with pictures copied to a folder."""
    folder.mkdir()
    products, lost = [], []
    for number, item in enumerate(
        tqdm(items, desc="products", unit="product", delay=_DELAY)
    ):
        shop = next(shop for shop in of_models if item in shop.recommender)
        picture = None
        if shop.recommender.picture(item) is not None:
            try:
                content = shop.picture(item)
            except Problem as error:
                lost.append(error.message)
            else:
                picture = f"{number}.jpg"
                (folder / picture).write_bytes(content)
        text = shop.recommender.text(item)
        products.append(plan.Product(item=item, text=text, picture=picture))
    if lost:
        print(f"Shown without a picture: {some(lost)}", file=sys.stderr)
    return products
