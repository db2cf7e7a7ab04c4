"""The models of a service, by name, and how they are asked."""

from __future__ import annotations

import copy
import dataclasses
import functools
import io
import math
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from recbole_whisperlite.encoder.pictures import IN_ARCHIVE, read_picture
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.feedback import Judged
from recbole_whisperlite.recommend.recommender import Recommender
from recbole_whisperlite.serve.problems import Problem

if TYPE_CHECKING:
    from PIL.Image import Image

# The longer side of the pictures that a page shows, and how many are kept in memory.
_SIDE, _MOST_PICTURES = 480, 1000


@dataclasses.dataclass(frozen=True)
class Ask:
    """One request to a model.

    Attributes:
        request (str or None), user (str or None), k, like, exclude_seen: As for
            :meth:`Recommender.recommend`.
        history (tuple of str or None): As there.
        picture (PIL.Image.Image or None): As ``image`` there.
        exclude (tuple of str), among (tuple of str or None): As there.
        where (tuple): Its items, lists as frozensets.
        judged (Judged): What the user has said.
        columns (tuple of str): Of the catalogue, to come along.
        explain (bool): Whether the parts of scores come along.
    """

    request: str | None
    user: str | None
    k: int
    history: tuple[str, ...] | None = None
    picture: Image | None = None
    like: str | None = None
    exclude_seen: bool = True
    exclude: tuple[str, ...] = ()
    among: tuple[str, ...] | None = None
    where: tuple[tuple[str, object], ...] = ()
    judged: Judged = Judged({})
    columns: tuple[str, ...] = ()
    explain: bool = False

    @property
    def group(self) -> tuple:
        """tuple: What several questions must share to be answered at once."""
        return (self.like, self.exclude_seen, self.exclude, self.among, self.where)


class Shop:
    """A model with a name.

    Args:
        name (str): How clients call it.
        source (str): Where it is loaded from, as for :meth:`Recommender.load`.
        options (dict): For :meth:`Recommender.load`.

    Attributes:
        recommender (Recommender): The model; :meth:`reload` puts another in its place,
            and whoever asks takes it once.
    """

    def __init__(self, name: str, source: str, options: Mapping[str, object]):
        self.name, self.source, self._options = name, source, dict(options)
        self.recommender = _load(source, options)
        self._changing = threading.Lock()

    def reload(self) -> None:
        """Load the model again, as it is in its folder now. Meanwhile the old one answers.

        Raises:
            UserError: If it cannot be loaded; the old one stays.
        """
        with self._changing:
            self.recommender = _load(self.source, self._options)

    def change(
        self, add: Sequence[Mapping[str, object]], remove: Sequence[str], save: bool
    ) -> int:
        """Add and remove products.

        Args:
            add, remove: As for :meth:`Recommender.change_items`.
            save (bool): Whether the model is written to its folder, too.

        Returns:
            int: How many products there are.

        Raises:
            UserError: If one is wrong, or the folder cannot be written to.
        """
        with self._changing:
            self.recommender.change_items(add, remove)
            if save:
                self.recommender.save()
            return len(self.recommender)

    def _now(self):
        """Return the model as it is now: what comes and goes meanwhile does not reach it."""
        return copy.copy(self.recommender)

    def answer(self, asks: Sequence[Ask]) -> list[dict]:
        """Answer questions of one :attr:`Ask.group` at once.

        Returns:
            list of dict: As :class:`recbole_whisperlite.serve.schemas.Answer` has it.

        Raises:
            UserError: If one of them is wrong.
        """
        shop = self._now()
        # what a user does not want is left out of the answer afterwards
        unwanted = [[i for i in ask.judged.unwanted if i in shop] for ask in asks]
        answers = shop.recommend(
            [ask.request for ask in asks],
            [ask.user for ask in asks],
            k=max(ask.k + len(items) for ask, items in zip(asks, unwanted)),
            history=[_history(shop, ask) for ask in asks],
            image=[ask.picture for ask in asks],
            like=asks[0].like,
            exclude_seen=asks[0].exclude_seen,
            exclude=asks[0].exclude,
            among=asks[0].among,
            where=_where(asks[0].where),
            parts=any(ask.explain for ask in asks),
        )
        for ask, answer, items in zip(asks, answers, unwanted):
            answer[:] = [each for each in answer if each.item not in {*items}][: ask.k]
        return [
            self._as_json(shop, answer, ask.columns, ask.explain)
            for ask, answer in zip(asks, answers)
        ]

    def similar(
        self,
        item: str,
        columns: Sequence[str],
        where: Sequence[tuple[str, object]],
        **options,
    ) -> dict:
        """Return the products most similar to one, as :meth:`answer` does.

        Args:
            item, **options: As for :meth:`Recommender.similar`.
            columns, where: As :class:`Ask` has them.

        Raises:
            UserError: If an argument of :meth:`Recommender.similar` is wrong.
        """
        shop = self._now()
        answer = shop.similar(item, where=_where(where), **options)
        return self._as_json(shop, answer, columns, False)

    def item(self, item: str) -> dict:
        """Return a product, as :class:`recbole_whisperlite.serve.schemas.Item` has it.

        Raises:
            Problem: If there is no such product.
        """
        shop = self._now()
        if item not in shop:
            raise Problem(404, f"There is no product '{item}'.")
        return {
            "item": item,
            "text": shop.text(item),
            "picture": self._address(shop.picture(item), item),
            "columns": _plain(shop.item(item)),
        }

    def _as_json(self, shop, answer, columns, explain):
        of_items = [{}] * len(answer)
        if columns:
            of_items = shop.items([each.item for each in answer], columns)
        items = []
        for rank, (each, of_item) in enumerate(zip(answer, of_items), start=1):
            item = {
                "item": each.item,
                "rank": rank,
                "score": each.score,
                "text": each.text,
                "picture": self._address(each.picture, each.item),
                "columns": _plain(of_item),
            }
            if explain:
                item["parts"] = each.parts
                item["times_chosen"] = shop.times_chosen(answer.request, each.item)
            items.append(item)
        return {
            "answer": uuid.uuid4().hex,
            "request": answer.request,
            "user": answer.user,
            "understood": {"wish": answer.wish, "ruled_out": answer.ruled_out},
            "notes": list(answer.notes),
            "items": items,
        }

    def _address(self, picture, item):
        """Return where this service has a picture."""
        if picture is None:
            return None
        return f"/v1/pictures/{quote(item, safe='')}?model={quote(self.name, safe='')}"

    def picture(self, item: str) -> bytes:
        """Return a product's picture as a JPEG file, of a size to be looked at.

        Raises:
            Problem: If there is no such product, or it has no picture.
        """
        shop = self._now()
        path = shop.picture(item) if item in shop else None
        if path is None or not _is_inside(path, shop.picture_folder):
            raise Problem(404, f"There is no picture of '{item}'.")
        try:
            return _jpeg(path, os.stat(path.partition(IN_ARCHIVE)[0]).st_mtime_ns)
        except (UserError, OSError):  # the message names a path of this machine
            raise Problem(404, f"The picture of '{item}' cannot be read.") from None


@functools.lru_cache(maxsize=_MOST_PICTURES)
def _jpeg(path, stamp):
    """Return a picture as a JPEG file; another one when the file has changed."""
    image = read_picture(path)
    image.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def _load(source, options):
    """Return a model that has answered once: what it loads for its first answer, such as
    torch and the weights of its encoder, nobody waits for."""
    recommender = Recommender.load(source, **options)
    recommender.recommend("a first request", k=1)
    return recommender


def _history(shop, ask):
    if ask.history is not None or not ask.judged.wanted:
        return ask.history
    known = [] if ask.user is None else shop.history(ask.user)
    # what was kept before the last training is in the history already
    return known + [i for i in ask.judged.wanted if i in shop and i not in {*known}]


def _where(items):
    """Return conditions as :meth:`Recommender.recommend` has them."""
    return {
        column: list(value) if isinstance(value, frozenset) else value
        for column, value in items
    } or None


def _plain(columns):
    """Return columns as JSON has them, which knows neither NaN nor infinity."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in columns.items()
    }


def _is_inside(path, folder):
    """Return whether a picture is in the folder of the catalogue's pictures."""
    if folder is None:
        return False
    path = Path(path.partition(IN_ARCHIVE)[0]).resolve()
    return path.is_relative_to(Path(folder).resolve())


class Shops:
    """The models of a service, in the order in which they were given.

    Args:
        sources (dict): ``{name: source}``.
        options (dict): For :meth:`Recommender.load`.

    Raises:
        UserError: If one cannot be loaded.
    """

    def __init__(self, sources: Mapping[str, str], options: Mapping[str, object]):
        self._shops = {
            name: Shop(name, source, options) for name, source in sources.items()
        }

    def __iter__(self):
        return iter(self._shops.values())

    def __getitem__(self, name: str | None) -> Shop:
        """Return a model, the first one without a name.

        Raises:
            Problem: If there is none of this name.
        """
        if name is None:
            return next(iter(self))
        if name not in self._shops:
            close = did_you_mean(name, self._shops)
            raise Problem(
                404,
                f"There is no model '{name}'.{close}",
                f"The models are {', '.join(self._shops)}.",
            )
        return self._shops[name]


def named(sources: Sequence[str], option: str = "--model") -> dict[str, str]:
    """Return the models of a command line by name: ``name=folder``, or a folder, which
    has the name of its last part.

    Args:
        sources (list of str): The models.
        option (str): What errors call them.

    Raises:
        UserError: If two have one name.
    """
    by_name = {}
    for each in sources:
        name, equals, source = each.partition("=")
        if not equals:
            source = each
            name = Path(each).absolute().name.removesuffix(".pth") or each
        if not name or not source:
            raise UserError(f"{option} {each}: write a folder, or name=folder.")
        if name in by_name:
            raise UserError(
                f"{option}: '{by_name[name]}' and '{source}' are both called {name}. Give "
                "them names, name=folder."
            )
        by_name[name] = source
    return by_name
