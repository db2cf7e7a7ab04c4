"""The command ``recbole-whisperlite benchmark``."""

import contextlib
import sys

from filelock import FileLock, Timeout

from recbole_whisperlite.benchmark import plan
from recbole_whisperlite.errors import UserError


def main(argv: list[str]) -> int:
    """Run ``recbole-whisperlite benchmark``.

    Finished pairs of model and seed are kept in the output folder and are not run again
    unless their settings change, so that an interrupted benchmark can be continued.

    Args:
        argv (list of str): See :func:`plan.make_plan`.

    Returns:
        int: The exit status: 0; 1 if a run failed (the tables say why); 130 if it was
        interrupted.

    Raises:
        UserError: If a setting is wrong, the data are missing, the output folder cannot
            be written to, or the models did not have the same test set and therefore
            cannot share a table.
    """
    made = plan.make_plan(argv)
    # not at the top: importing RecBole takes seconds, too long for a typo or --help
    from recbole_whisperlite.benchmark import data

    data.check(made)
    try:
        made.output.mkdir(parents=True, exist_ok=True)
        # the system frees it whatever ends the benchmark
        with FileLock(made.output / ".lock", timeout=0), _workers(made) as workers:
            return _run(made, workers)
    except Timeout:
        raise UserError(
            f"output: another benchmark is writing to {made.output}. Wait for it, or choose "
            "another folder."
        ) from None
    except OSError as error:
        raise UserError(
            f"output: {made.output} cannot be written to. {error}"
        ) from error
    except KeyboardInterrupt:
        print(
            f"\nInterrupted. Finished runs are kept in {made.output}; run the same "
            "command again to continue.",
            file=sys.stderr,
        )
        return 130


@contextlib.contextmanager
def _workers(made):
    """Yield workers of the cluster, or None where the runs are to be here."""
    if made.cluster is None:
        yield None
        return
    from recbole_whisperlite.benchmark import data
    from recbole_whisperlite.cluster.connection import connected

    reads = {path for row in made.rows for path in data.files_of(made, row)}
    reads.update(path for row in made.rows for path in data.own_files(made, row))
    with connected(made.cluster, made.output, sorted(reads)) as workers:
        yield workers


def _run(made, workers):
    from recbole_whisperlite.benchmark import (
        data,
        fingerprints,
        report,
        runner,
        tables,
        trec,
        tuning,
    )

    tuned = tuning.tune(made, workers) if made.trials else {}
    chosen = {
        name: one.settings for name, one in tuned.items() if one.settings is not None
    }
    outcomes = runner.run_all(
        [
            runner.Job(
                row,
                seed,
                made,
                made.output / "runs" / row.name / str(seed),
                units=data.has_requests(made, row),
            )
            for row in made.rows_with(chosen)
            for seed in made.seeds[: row.seeds]
        ],
        "models and seeds",
        workers,
    )
    test_sets = fingerprints.same_test_set(outcomes)
    benchmark = tables.assemble(
        made,
        outcomes,
        test_sets,
        chosen,
        {name: one.facts() for name, one in tuned.items()},
    )
    tables.write(made.output, benchmark)
    trec.write(made.output, benchmark)
    written = report.write(made.output)
    print((made.output / "benchmark.md").read_text("utf-8"))
    print(f"Report: {written}")
    failed = sum(outcome.error is not None for outcome in outcomes)
    if failed:
        print(f"{failed} of {len(outcomes)} runs failed.", file=sys.stderr)
    return 1 if failed else 0
