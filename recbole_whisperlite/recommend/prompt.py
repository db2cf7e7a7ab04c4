"""The prompt of ``recbole-whisperlite recommend``: a line, an answer, the next line."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.recommend import show

if TYPE_CHECKING:
    from recbole_whisperlite.recommend.recommender import Recommender

_HELP = """\
A line is a request. Lines that begin with a colon are commands:
  :user ID      ask as this user (:user alone: as nobody)
  :k N          how many items
  :explain ID   why an item stands where it stands for the last request
  :similar ID   items like this one
  :help         this text
  :quit         the end; so is Ctrl-D"""


class Prompt:
    """Answers lines.

    Args:
        shop (Recommender): The model.
        user (str or None): Who asks.
        k (int): How many items.
        options (dict): Other arguments of ``Recommender.recommend``.
        as_json (bool): Whether answers are JSON, one object a line.
    """

    def __init__(
        self,
        shop: Recommender,
        user: str | None,
        k: int,
        options: dict,
        as_json: bool,
    ):
        self.shop, self.user, self.k = shop, user, k
        self.options, self.as_json = options, as_json
        self.last = None
        self.commands = {
            "user": self._set_user,
            "k": self._set_k,
            "explain": self._explain,
            "similar": self._similar,
            "help": lambda _: self._say(_HELP),
        }

    def run(self, lines: Iterable[str]) -> int:
        """Answer lines until they end or one is ``:quit``.

        A line that cannot be answered gets its error, and the next is answered.

        Returns:
            int: How many could not be answered.
        """
        n_failed = 0
        for line in lines:
            line = line.strip()
            if line in (":quit", ":q"):
                break
            if not line:
                continue
            try:
                self._answer(line)
            except UserError as error:
                n_failed += 1
                print(f"error: {error}", file=sys.stderr, flush=True)
                if self.as_json:  # as many lines as were asked
                    self._say(json.dumps({"request": line, "error": str(error)}))
        return n_failed

    def _answer(self, line):
        if not line.startswith(":"):
            self.last = line
            options = {"k": self.k, **self.options}
            self._show(self.shop.recommend(line, self.user, **options))
            return
        name, _, argument = line[1:].partition(" ")
        if name not in self.commands:
            raise UserError(
                f"There is no command :{name}.{did_you_mean(name, self.commands)} "
                ":help lists them."
            )
        self.commands[name](argument.strip())

    def _set_user(self, user):
        self.user = user or None

    def _set_k(self, k):
        if not k.isdecimal() or not 0 < int(k) < 2**31:
            raise UserError(
                f":k needs a whole number above 0, such as :k 5, not '{k}'."
            )
        self.k = int(k)

    def _explain(self, item):
        if self.last is None:
            raise UserError("There is no request yet that could be explained.")
        explanation = self.shop.explain(self.last, _item(item, "explain"), self.user)
        if self.as_json:
            self._say(json.dumps(show.explanation_json(explanation)))
        else:
            self._say(show.explanation_text(explanation, show.terminal_width()))

    def _similar(self, item):
        names = ("exclude", "among", "where")
        options = {name: self.options[name] for name in names if name in self.options}
        self._show(self.shop.similar(_item(item, "similar"), self.k, **options))

    def _show(self, answer):
        if self.as_json:
            self._say(json.dumps(show.answer_json(answer)))
        else:
            self._say(show.answer_text(answer, show.terminal_width()) + "\n")

    @staticmethod
    def _say(text):
        print(text, flush=True)


def _item(item, command):
    if not item:
        raise UserError(f":{command} needs an item: :{command} ID")
    return item


def typed_lines() -> Iterator[str]:
    """Yield what is typed at a terminal, until Ctrl-D or Ctrl-C."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (arrow keys and earlier lines, for input)
    try:
        while True:
            yield input("request> ")
    except (EOFError, KeyboardInterrupt):
        print()
