"""Answers a file of requests: as a stream, and after a stop from where it stopped."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from tqdm import tqdm

import recbole_whisperlite
from recbole_whisperlite.clip import output as checks
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend import result_parts
from recbole_whisperlite.recommend.requests_file import Asked, RequestsFile
from recbole_whisperlite.recommend.result_parts import ResultParts

if TYPE_CHECKING:
    from recbole_whisperlite.recommend.recommender import Recommender
    from recbole_whisperlite.recommend.shards import Elsewhere

#: Requests that are answered and written together.
CHUNK = 4096


class Job:
    """A file of requests to be answered.

    Args:
        requests (str or Path): The requests, see :class:`RequestsFile`.
        output (str or Path): Where the results go.
        format (str, optional): One of ``csv parquet jsonl trec``; by default what the
            name of the output ends in.
        k (int): How many items for each request.
        with_parts (bool): Whether the parts of scores are written, too.
        chunk (int): How many requests are answered and written together.

    Raises:
        UserError: If the requests are malformed, or the output cannot be written.
    """

    def __init__(
        self,
        requests: str | Path,
        output: str | Path,
        format: str | None = None,
        *,
        k: int = 10,
        with_parts: bool = False,
        chunk: int = CHUNK,
    ):
        self.output = Path(output)
        self.format = result_parts.format_of(output, format)
        if self.format == "trec" and with_parts:
            raise UserError("--parts: a run file has no room for parts of scores.")
        self.requests = RequestsFile(requests)
        checks.check_writable(self.output, read=[requests])
        self.n = self.requests.check(unique_ids=self.format == "trec")
        self.k, self.with_parts, self.chunk = k, with_parts, chunk

    def run(
        self,
        shop: Recommender,
        model_digest: str,
        *,
        exclude: Iterable[str] = (),
        among: Iterable[str] | None = None,
        where: Mapping[str, object] | None = None,
        exclude_seen: bool = True,
        elsewhere: Elsewhere | None = None,
    ) -> str:
        """Answer the requests.

        Args:
            shop (Recommender): The model.
            model_digest (str): What it is; parts of another one are not used again.
            exclude, among, where, exclude_seen: As for ``Recommender.recommend``, for
                all requests; a file may exclude more, and overrule ``exclude_seen``.
            elsewhere (Elsewhere, optional): A cluster, on which each chunk is a task; by
                default requests are answered here.

        Returns:
            str: What was done, in words.

        Raises:
            UserError: If a request cannot be answered; the message says where it is.
        """
        options = {"exclude": list(exclude), "among": among, "where": where}
        shop.recommend("", k=1, **options)  # raises before any work if one is wrong
        manifest = {
            "version of the package": recbole_whisperlite.__version__,
            "requests": self.requests.digest(),
            "model": model_digest,
            "options": repr(
                (
                    options,
                    self.k,
                    exclude_seen,
                    self.with_parts,
                    self.format,
                    self.chunk,
                )
            ),
        }
        ignored = self.requests.ignored()
        if ignored:
            _note(f"{self.requests.path}: columns not read: {', '.join(ignored)}")
        with ResultParts(self.output, manifest) as parts:
            if parts.discarded:
                _note(
                    f"An earlier run for {self.output} was stopped, but it had another "
                    f"value for: {', '.join(parts.discarded)}. Starting anew."
                )
            done = min(parts.n_done * self.chunk, self.n)
            if done:
                _note(f"Going on after {done:,} requests of {self.n:,}.")
            rest = itertools.islice(self.requests, done, None)
            chunks = iter(lambda: list(itertools.islice(rest, self.chunk)), [])
            if elsewhere is None:
                answered = self._here(shop, chunks, done, options, exclude_seen)
            else:
                answered = elsewhere.answer(
                    *(self.answer, chunks, options, exclude_seen), self.n, done
                )
            for table, counts in answered:
                parts.add(table, counts)
            return _in_words(self.n, parts.finish(self.format, shop.model))

    def _here(self, shop, chunks, done, options, exclude_seen):
        with tqdm(total=self.n, initial=done, unit=" requests", disable=None) as bar:
            for rows in chunks:
                yield self.answer(shop, rows, options, exclude_seen)
                bar.update(len(rows))

    def answer(
        self, shop: Recommender, rows: list[Asked], options: dict, exclude_seen: bool
    ) -> tuple[pa.Table, dict[str, int]]:
        """Return the part of the results for a chunk, as ``ResultParts.add`` takes it.

        Args:
            shop (Recommender): The model.
            rows (list of Asked): The chunk.
            options (dict): ``exclude``, ``among`` and ``where`` for all requests.
            exclude_seen (bool): For requests that do not say.

        Raises:
            UserError: If a request cannot be answered; the message says where it is.
        """
        answers = self._answer(shop, rows, options, exclude_seen)
        return _table(rows, answers, self.with_parts)

    def _answer(self, shop, rows, options, exclude_seen):
        """Return the answers to a chunk, in its order."""
        groups = {}
        for position, row in enumerate(rows):
            seen = exclude_seen if row.exclude_seen is None else row.exclude_seen
            # with those that exclude about as many: all of a group ask for as many more
            key = seen, len(row.exclude).bit_length()
            groups.setdefault(key, []).append(position)
        answers = [None] * len(rows)
        for (seen, _), positions in groups.items():
            group = [rows[position] for position in positions]
            try:
                found = self._answer_group(shop, group, options, seen)
            except UserError:
                self._name_the_culprit(shop, group, options, seen)
                raise
            for position, answer in zip(positions, found):
                answers[position] = answer
        return answers

    def _answer_group(self, shop, group, options, exclude_seen):
        excluded = {id_ for row in group for id_ in row.exclude}
        if excluded:
            shop.recommend(
                "", k=1, exclude=sorted(excluded)
            )  # raises if one is unknown
        most = max(len(row.exclude) for row in group)
        answers = shop.recommend(
            [row.request for row in group],
            [row.user for row in group],
            k=self.k + most,
            history=[row.history for row in group],
            exclude_seen=exclude_seen,
            parts=self.with_parts,
            **options,
        )
        for row, answer in zip(group, answers):
            if row.exclude:
                answer[:] = [each for each in answer if each.item not in {*row.exclude}]
            del answer[self.k :]
        return answers

    def _name_the_culprit(self, shop, group, options, exclude_seen):
        for row in group:
            try:
                self._answer_group(shop, [row], options, exclude_seen)
            except UserError as error:
                raise UserError(f"{self.requests.path}, {row.where}: {error}") from None


def _table(rows: list[Asked], answers, with_parts) -> tuple[pa.Table, dict[str, int]]:
    found = [
        (row, rank, each)
        for row, answer in zip(rows, answers)
        for rank, each in enumerate(answer, start=1)
    ]
    columns = {
        "id": [row.id for row, _, _ in found],
        "request": [row.request for row, _, _ in found],
        "user": [row.user for row, _, _ in found],
        "rank": [rank for _, rank, _ in found],
        "item": [each.item for _, _, each in found],
        "score": [each.score for _, _, each in found],
    }
    types = dict(result_parts.COLUMNS)
    if with_parts:
        for name in dict.fromkeys(name for _, _, each in found for name in each.parts):
            columns[f"{name}_score"] = [each.parts.get(name, 0.0) for *_, each in found]
            types[f"{name}_score"] = pa.float32()
    counts = {
        "without an item": sum(not answer for answer in answers),
        "answered with a note": sum(bool(answer.notes) for answer in answers),
    }
    return pa.table(columns, pa.schema(types.items())), counts


def _in_words(n, counts):
    words = f"{n:,} requests, {counts.pop('rows'):,} rows"
    for what, count in counts.items():
        if count:
            words += f"; {count:,} {what}"
    if counts.get("answered with a note"):
        words += " (an unknown user, a blank request, a refusal that is not understood)"
    return words + "."


def _note(text):
    print(f"note: {text}", file=sys.stderr)
