"""The command ``recommend``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from recbole_whisperlite.recommend import arguments


def main(argv: list[str]) -> int:
    """Ask an exported model: one request, a prompt, or a file of requests.

    Args:
        argv (list of str): The command line after ``recommend``.

    Returns:
        int: The exit status: 2 if lines of a pipe could not be answered, 130 if a file
        was interrupted.

    Raises:
        UserError: If the model cannot be loaded, or an argument is wrong.
    """
    args = arguments.make_parser().parse_args(argv)
    arguments.check(args)
    if args.requests:
        return _answer_file(args)
    if args.sheet:
        from recbole_whisperlite.recommend import sheet

        sheet.check_path(args.sheet)
    shop = _load(args, args.model)
    options = _options(args, shop)
    if arguments.is_prompt(args):
        return _ask_again_and_again(args, shop, options)
    if args.explain:
        _explain(args, shop)
        return 0
    if args.similar:
        del options["exclude_seen"]
        answer = shop.similar(args.similar, args.k, **options)
    else:
        options.update(k=args.k, history=args.history, image=args.image)
        answer = shop.recommend(args.request, args.user, **options)
    _show(args, shop, answer)
    return 0


def _load(args, source):
    from recbole_whisperlite.recommend.recommender import Recommender

    return Recommender.load(
        source,
        pictures=args.pictures,
        own_code=args.own_code,
        store=args.store,
        candidates=args.candidates,
    )


def _options(args, shop):
    """Return which items may be found, as keyword arguments of ``recommend``."""
    return {
        "exclude": args.exclude or (),
        "among": args.among,
        "where": arguments.conditions(args.where, shop.columns),
        "exclude_seen": not args.seen,
    }


def _ask_again_and_again(args, shop, options):
    from recbole_whisperlite.recommend.prompt import Prompt, typed_lines

    prompt = Prompt(shop, args.user, args.k, options, args.json)
    try:
        if sys.stdin.isatty():
            print(f"{shop.model}, {len(shop):,} items; :help for help", file=sys.stderr)
            prompt.run(typed_lines())
            return 0
        return 2 if prompt.run(sys.stdin) else 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads has enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _explain(args, shop):
    from recbole_whisperlite.recommend import show

    explanation = shop.explain(
        args.request, args.explain, args.user, history=args.history, image=args.image
    )
    if args.json:
        print(json.dumps(show.explanation_json(explanation)))
    else:
        print(show.explanation_text(explanation, show.terminal_width()))


def _show(args, shop, answer):
    from recbole_whisperlite.recommend import show

    if args.json:
        print(json.dumps(show.answer_json(answer)))
    else:
        print(show.answer_text(answer, show.terminal_width()))
    if args.sheet:
        from recbole_whisperlite.recommend import sheet

        title = f"Like {args.similar}" if args.similar else answer.request
        sheet.write(args.sheet, answer, title, args.image, shop.model)
        print(f"sheet: {args.sheet}", file=sys.stderr)


def _answer_file(args):
    from recbole_whisperlite.recommend import batch, shards

    job = batch.Job(
        args.requests, args.output, args.format, k=args.k, with_parts=args.parts
    )
    source, digest = shards.model_on_disk(args.model)
    shop = _load(args, source)
    try:
        with _somewhere(args, source, digest) as elsewhere:
            done = job.run(shop, digest, elsewhere=elsewhere, **_options(args, shop))
    except KeyboardInterrupt:
        print(
            "Stopped. The same command goes on where this one stopped.", file=sys.stderr
        )
        return 130
    print(f"{args.output}: {done}", file=sys.stderr)
    return 0


@contextlib.contextmanager
def _somewhere(args, source, digest):
    """Yield where a file is answered: on a cluster, or None for here."""
    if not args.cluster:
        yield None
        return
    from recbole_whisperlite.cluster.connection import connected
    from recbole_whisperlite.cluster.options import memory_of
    from recbole_whisperlite.recommend.shards import Elsewhere

    where = Elsewhere(
        source, digest, args.pictures, args.own_code, memory_of(args.task_memory)
    )
    folder = Path(args.output).absolute().parent
    with connected(args.cluster, folder, where.files()) as workers:
        where.workers = workers
        yield where
