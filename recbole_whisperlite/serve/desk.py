"""Answers what has come while the last answers were made, together.

A model answers many requests at once in a fraction of the time of each alone, so a busy
service waits a little and does much less.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbole_whisperlite.feedback import Judged
    from recbole_whisperlite.serve.shops import Ask, Shop

# Seconds that a question waits for others: less than each would take alone.
_PAUSE = 0.002
# So that what arrives next does not wait for too many.
_MOST_AT_ONCE = 32


class Desk:
    """A thread that asks the models, for the tasks of one event loop.

    Args:
        judge (callable): Users -> what each has said, ``{user: Judged}``.
    """

    def __init__(self, judge: Callable[[Collection[str]], Mapping[str, Judged]]):
        self._judge = judge
        self._thread = ThreadPoolExecutor(1, "desk")
        self._waiting: list[tuple[Shop, Ask, asyncio.Future]] = []
        self._task: asyncio.Task | None = None

    async def ask(self, shop: Shop, ask: Ask) -> dict:
        """Answer one question, see :meth:`Shop.answer`; what its user has said is added.

        Raises:
            UserError: If it is wrong.
            Exception: What ``judge`` raises.
        """
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._waiting.append((shop, ask, answer))
        if self._task is None:
            self._task = loop.create_task(self._work())
        return await answer

    async def run(self, function: Callable, *arguments: object) -> object:
        """Call a function in the thread that asks the models."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown()

    async def _work(self):
        try:
            while self._waiting:
                await asyncio.sleep(_PAUSE)
                jobs = self._waiting[:_MOST_AT_ONCE]
                del self._waiting[:_MOST_AT_ONCE]
                for answers in await self.run(self._answers, jobs):
                    for (_, _, waiting), answer in answers:
                        if waiting.cancelled():  # the client has gone
                            continue
                        if isinstance(answer, BaseException):
                            waiting.set_exception(answer)
                        else:
                            waiting.set_result(answer)
        finally:
            self._task = None

    def _answers(self, jobs):
        """Return the jobs with their answers, group by group."""
        users, judged, failed = {ask.user for _, ask, _ in jobs} - {None}, {}, []
        if users:
            try:
                judged = self._judge(users)
            except Exception as error:
                failed = [(job, error) for job in jobs if job[1].user in users]
                jobs = [job for job in jobs if job[1].user is None]
        groups = {}
        for job in _with(judged, jobs):
            shop, ask, _ = job
            groups.setdefault((shop.name, ask.group), []).append(job)
        return [failed, *map(_of_group, groups.values())]


def _with(judged, jobs):
    for shop, ask, waiting in jobs:
        if ask.user in judged:
            ask = dataclasses.replace(ask, judged=judged[ask.user])
        yield shop, ask, waiting


def _of_group(jobs):
    shop = jobs[0][0]
    try:
        return list(zip(jobs, shop.answer([ask for _, ask, _ in jobs])))
    except Exception as error:
        if len(jobs) == 1:
            return [(jobs[0], error)]
    # one of them is wrong: which one?
    return [answered for job in jobs for answered in _of_group([job])]
