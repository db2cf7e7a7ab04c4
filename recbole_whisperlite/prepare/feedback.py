"""Feedback that ``recbole-whisperlite serve`` has stored, joined to the data of its model.

Reads the dataset that the model was trained on and a database of feedback; writes both as
one dataset, for the next training:

    recbole-whisperlite prepare feedback --from sqlite:///feedback.db \\
        --data dataset/shop --output dataset/shop2

- What a user kept or tried of one answer becomes a request with its interactions; the
  column outcome of .inter says KEEP or TRY. Without a text it becomes interactions
  without a request: history, never ranked as queries.
- The last word on a product of an answer counts. One that was withdrawn later was not
  chosen in any answer before.
- The time of a request is that of the first word on its answer, in the unit of the old
  timestamps. Where an answer has no id, the same text of a user on one day is one request.
- Products that are not among the items are left out and counted. New users are welcome.
- Columns that feedback does not have are empty in its rows; the old rows stay as they are.

Requests of feedback have ids that begin with "feedback-" and are the same each time. What
the dataset has of this database from an earlier run is replaced by what holds now, so
nothing is doubled.

Not tried is not chosen: it stays out, as no model reads the outcome, and each line of
.inter counts as chosen. --outcomes kept tried not_tried lets it in, beside what was kept
or tried of the same answer.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recbole_whisperlite import feedback
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.folder import replacing

if TYPE_CHECKING:
    import pandas as pd

#: What stands in the column outcome.
OUTCOMES = {"kept": "KEEP", "tried": "TRY", "not_tried": "NOTTRY"}

_PREFIX = "feedback-"
# Atomic files that feedback does not change.
_OTHERS = ("user", "kg", "link", "net")
# Unix times of our days are below the first number in seconds, the second in ms, …
_UNITS = (
    (1e11, "seconds", 1),
    (1e14, "milliseconds", 10**3),
    (1e17, "microseconds", 10**6),
    (float("inf"), "nanoseconds", 10**9),
)
_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    option = parser.add_argument
    option(
        "--from",
        dest="url",
        required=True,
        metavar="URL",
        help="the database: sqlite:///feedback.db or postgresql+psycopg://…",
    )
    option("--data", required=True, help="folder of the dataset that is joined")
    option(
        "--output",
        required=True,
        help="folder to write; its name becomes the dataset's",
    )
    option(
        "--outcomes",
        nargs="+",
        choices=OUTCOMES,
        default=list(feedback.WANTED),
        help="what becomes interactions (default: kept tried)",
    )
    option(
        "--models",
        nargs="+",
        metavar="NAME",
        help="only what was said of answers of these models, as the service calls them; "
        "by default all",
    )


def run(args: argparse.Namespace) -> None:
    """Convert as the command line says and print a summary."""
    counts = convert(args.url, args.data, args.output, args.outcomes, args.models)
    output = Path(args.output)
    name = output.resolve().name
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    print(
        f"Read {counts['words']:,} words on products.\n"
        f"Joined {counts['requests']:,} requests with {counts['answers']:,} interactions, "
        f"and {counts['history']:,} interactions without a request, of "
        f"{counts['users']:,} users, {counts['new_users']:,} of them new."
    )
    if counts["replaced"]:
        print(f"They replace {counts['replaced']:,} that were joined before.")
    for note in counts["notes"]:
        print(note)
    print(
        f"Wrote {output / name}: {counts['interactions']:,} interactions.\n"
        f"Next: recbole-whisperlite run --model=WhisperLitePlus --dataset={name}{folder}"
    )


def convert(
    url: str,
    data: str | Path,
    output: str | Path,
    outcomes: Sequence[str] = feedback.WANTED,
    models: Sequence[str] | None = None,
) -> dict:
    """Write a dataset and the feedback on its products as the dataset ``output`` (see the
    module docstring).

    The dataset, and the products that were judged, are held in memory.

    Args:
        url (str): The database, as for :func:`recbole_whisperlite.feedback.connect`.
        data (str or Path): The old dataset's folder.
        output (str or Path): The new dataset's folder; its name becomes the dataset's.
        outcomes (list of str): Which of :data:`OUTCOMES` become interactions.
        models (list of str, optional): Those whose answers count; by default all.

    Returns:
        dict: Numbers: ``words`` read, ``requests`` joined, their interactions
        (``answers``), those without a request (``history``), ``users`` and ``new_users``
        of them, old interactions that they replace (``replaced``), those left out as
        their product is unknown (``left_out``), and ``interactions`` in all; and
        ``notes``, sentences.

    Raises:
        UserError: If the database or the dataset cannot be used, the two folders are
            one, or nothing is left to be joined.
    """
    if Path(data).resolve() == Path(output).resolve():
        raise UserError(
            f"--output {output} is the folder of --data: a process killed at the wrong "
            "moment would leave neither the old data nor the new. Give another folder."
        )
    old = _Dataset(Path(data))
    of = _Models(models)
    asked, n_words = _asked(filter(of, feedback.read(url)))
    if not n_words:
        among = (
            f" of {', '.join(models)}, only of {', '.join(of.seen)}" if of.seen else ""
        )
        raise UserError(
            f"{feedback.shown(url)}: there is no feedback in it yet{among}."
        )
    chosen, missing = _chosen(asked, old.items, outcomes)
    if not chosen:
        raise UserError(
            f"{feedback.shown(url)}: of {n_words:,} words on products none says "
            f"{' or '.join(outcomes)} of a product in {old.file('item')} and still holds, "
            "so there is nothing to join."
        )
    with replacing(output) as folder:
        counts = old.write(folder, Path(output), asked, chosen)
        left_out = sum(missing.values())
        if missing:
            counts["notes"].append(
                f"Left out: {left_out:,} interactions with {len(missing):,} products that "
                f"the old data have not: {_some(missing)}."
            )
        counts = {"words": n_words, "left_out": left_out, **counts}
        old.write_about(folder, Path(output), feedback.shown(url), counts)
    return counts


class _Models:
    """Tells rows of some models, all if None, from others.

    Attributes:
        seen (dict): The models there are, as keys.
    """

    def __init__(self, names):
        self._names, self.seen = names, {}

    def __call__(self, row):
        self.seen[row.model] = True
        return self._names is None or row.model in self._names


class _Asked(NamedTuple):
    """Where words were said: a user's request, and the answer to it."""

    user: str
    text: str
    answer: str

    @property
    def id(self):
        """str: The id of the request, the same in each run; "" without a text."""
        if not self.text:
            return ""
        whole = json.dumps(self).encode()
        return _PREFIX + hashlib.blake2b(whole, digest_size=8).hexdigest()


class _Words(NamedTuple):
    """What was said there.

    Attributes:
        time (float): When the first word came, Unix seconds.
        of (dict): ``{item: outcome}``, None for what was withdrawn.
    """

    time: float
    of: dict[str, str | None]


def _asked(rows: Iterable[feedback.Row]) -> tuple[dict[_Asked, _Words], int]:
    """Return what was said where, and how many words there were."""
    asked, of_item, n_words = {}, {}, 0
    for n_words, row in enumerate(rows, start=1):
        day = datetime.datetime.fromtimestamp(row.time, datetime.timezone.utc).date()
        key = _Asked(row.user, row.request.strip(), row.answer or day.isoformat())
        words = asked.setdefault(key, _Words(row.time, {})).of
        if row.outcome == "withdrawn":
            for others in of_item.pop((row.user, row.item), ()):
                others[row.item] = None
        elif row.outcome in OUTCOMES:
            if row.item not in words or words[row.item] is None:
                of_item.setdefault((row.user, row.item), []).append(words)
            words[row.item] = row.outcome
    return asked, n_words


def _chosen(asked, items, outcomes):
    """Return ``{_Asked: {item: outcome}}`` of what is to be written, and how many
    interactions each unknown item would have had."""
    chosen, missing = {}, {}
    for key, words in asked.items():
        wanted = {item: said for item, said in words.of.items() if said in outcomes}
        for item in wanted.keys() - items:
            missing[item] = missing.get(item, 0) + 1
            del wanted[item]
        if any(said in feedback.WANTED for said in wanted.values()):
            chosen[key] = wanted
    return chosen, missing


def _some(ids):
    shown = ", ".join(f"'{id_}'" for id_ in sorted(ids)[:_SHOWN])
    more = len(ids) - _SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown


class _Dataset:
    """The atomic files of the old dataset.

    Args:
        folder (Path): Where they are.

    Attributes:
        items (set of str): The products that interactions may have.

    Raises:
        UserError: If there is none, or a file cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.resolve().name
        if not self.file("inter").is_file():
            raise UserError(
                f"{folder}: this is no dataset: there is no {self.file('inter').name} in "
                "it. Give the folder of the data that the model was trained on."
            )
        self.inter, self.inter_types = self._read("inter", "user_id", "item_id")
        self.item, self.item_types = self._read("item", "item_id")
        self.request, self.request_types = self._read(
            "request", "request_id", "request"
        )
        self.items = self._items()

    def file(self, suffix):
        """Return the path of a file."""
        return self.folder / f"{self.name}.{suffix}"

    def _read(self, suffix, *needed):
        """Return a file and its types; None and its least columns if there is none."""
        from recbole_whisperlite.data.atomic import read_atomic

        path = self.file(suffix)
        if not path.is_file():
            return None, dict.fromkeys(needed, "token")
        frame, types = read_atomic(path)
        for column in needed:
            if column not in types:
                raise UserError(
                    f"{path}, line 1: there is no column '{column}'; the columns are "
                    f"{', '.join(types)}. Feedback is joined to datasets whose columns "
                    "have their usual names."
                )
        return frame, types

    def _items(self):
        from recbole_whisperlite.data.texts import TextFile, join_fields, text_fields

        if self.item is None:
            return {*self.inter["item_id"]}
        file = TextFile(self.file("item"), "item_id", self.item, self.item_types)
        texts = self.item[text_fields(file, "item_id")].itertuples(index=False)
        return {
            id_ for id_, text in zip(self.item["item_id"], texts) if join_fields(text)
        }

    def write(self, folder, output, asked, chosen) -> dict:
        """Write all files with the new rows; return counts."""
        from recbole_whisperlite.data.atomic import write_atomic

        name, types = output.resolve().name, dict(self.inter_types)
        for column in ("request_id", "outcome"):
            types.setdefault(column, "token")
        clock = _Clock(self.inter) if "timestamp" in types else None
        new = [
            {
                "user_id": key.user,
                "item_id": item,
                "request_id": key.id,
                "outcome": OUTCOMES[said],
                "timestamp": clock(asked[key].time) if clock else "",
            }
            for key, words in chosen.items()
            for item, said in words.items()
        ]
        inter = self.inter[~self._was_joined(asked, clock)]
        n = write_atomic(
            folder / f"{name}.inter", types, [*_lines(inter, types), *_rows(new, types)]
        )
        requests = [
            {"request_id": key.id, "request": key.text} for key in chosen if key.text
        ]
        if requests or self.request is not None:
            old = []
            if self.request is not None:
                ours = self.request["request_id"].isin({key.id for key in asked})
                old = _lines(self.request[~ours], self.request_types)
            write_atomic(
                folder / f"{name}.request",
                self.request_types,
                [*old, *_rows(requests, self.request_types)],
            )
        if self.item is not None:
            lines = _lines(self._moved(output), self.item_types)
            write_atomic(folder / f"{name}.item", self.item_types, lines)
        for suffix in filter(lambda each: self.file(each).is_file(), _OTHERS):
            shutil.copyfile(self.file(suffix), folder / f"{name}.{suffix}")
        users = {row["user_id"] for row in new}
        history = sum(not row["request_id"] for row in new)
        return {
            "requests": len(requests),
            "answers": len(new) - history,
            "history": history,
            "users": len(users),
            "new_users": len(users - {*inter["user_id"]}),
            "replaced": len(self.inter) - len(inter),
            "interactions": n,
            "notes": [clock.note] if clock else [],
        }

    def _was_joined(self, asked, clock):
        """Return which old rows come from these words, bool ``[n_rows]``."""
        ids = {key.id for key in asked if key.text}
        found = self._column("request_id").isin(ids)
        # without a request, what was joined is known by user, item and time
        rows = {
            (key.user, item, clock(words.time) if clock else "")
            for key, words in asked.items()
            if not key.text
            for item in words.of
        }
        each = zip(
            self.inter["user_id"], self.inter["item_id"], self._column("timestamp")
        )
        known = [row in rows for row in each] if rows else False
        return found | ((self._column("request_id") == "") & known)

    def _column(self, name):
        import pandas as pd

        if name in self.inter:
            return self.inter[name]
        return pd.Series("", index=self.inter.index)

    def _moved(self, output):
        """Return the items with the paths of their pictures as seen from ``output``."""
        from recbole_whisperlite.data.texts import IMAGE_FIELD

        if IMAGE_FIELD not in self.item_types:
            return self.item
        source, target = os.path.abspath(self.folder), os.path.abspath(output)
        paths = [
            (
                os.path.relpath(os.path.join(source, path), target)
                if path.strip() and not os.path.isabs(path)
                else path
            )
            for path in self.item[IMAGE_FIELD]
        ]
        return self.item.assign(**{IMAGE_FIELD: paths})

    def write_about(self, folder, output, url, counts):
        """Write ``.request.json``: what it said of the old requests still holds of them;
        ``feedback`` has a part for each run that joined some."""
        about, path = {}, self.file("request.json")
        if path.is_file():
            try:
                about = json.loads(path.read_text("utf-8"))
            except (ValueError, RecursionError):
                about = None
            if not isinstance(about, dict):
                raise UserError(f"{path}: this is no JSON object. Repair or remove it.")
        if about.get("composed"):
            counts["notes"].append(
                "The old requests are composed from their items; those of feedback were "
                "typed. Runs go on saying that requests are composed."
            )
        if self.request is None:
            counts["notes"].append(
                f"{self.folder} has no .request: its interactions are without a request "
                "now, and request_template is not used any more."
            )
        joined = about.get("feedback")
        joined = joined if isinstance(joined, list) else []
        about["feedback"] = [*joined, {"from": url, **counts}]
        name = f"{output.resolve().name}.request.json"
        text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8")


class _Clock:
    """Unix times in the unit of a dataset.

    Args:
        inter (pandas.DataFrame): Its interactions, of str, with ``timestamp``.

    Attributes:
        note (str): Which unit was recognised, and why.
    """

    def __init__(self, inter: pd.DataFrame):
        import pandas as pd

        numbers = pd.to_numeric(inter["timestamp"], errors="coerce")
        largest = numbers.abs().max()
        if not largest < float("inf"):
            raise UserError(
                "The column timestamp of the old data has no numbers, so that it cannot "
                "be said in which unit new ones are to be written."
            )
        unit, self._scale = next(
            (unit, scale) for below, unit, scale in _UNITS if largest < below
        )
        self.note = f"Times are Unix {unit}, as old ones reach {largest:,.0f}."
        if largest < 1e8:  # 1973
            self.note = (
                f"Times of feedback are Unix seconds, after those of the old data, which "
                f"are positions or small numbers (up to {largest:,.0f})."
            )

    def __call__(self, seconds: float) -> str:
        return str(int(seconds * self._scale))


def _lines(frame, types):
    """Yield the old rows of a file, with the columns that are new empty."""
    frame = frame.reindex(columns=list(types), fill_value="")
    return frame.itertuples(index=False, name=None)


def _rows(rows, types):
    """Yield new rows, with the columns that they lack empty."""
    return ([row.get(column, "") for column in types] for row in rows)
