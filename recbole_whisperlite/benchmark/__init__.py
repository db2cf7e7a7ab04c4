"""Side by side: several models, one exam, one table."""

import sys

from recbole_whisperlite.benchmark import exam, plan, report, runner, tables, tuning


def main(argv):
    """Run ``python -m recbole_whisperlite benchmark``.

    Finished pairs of model and seed stay in the output folder and are not run again
    while their settings are the same; an interrupted benchmark goes on that way.

    Args:
        argv (list of str): See :func:`plan.make_plan`.

    Returns:
        int: 0; 1 if a model failed (its row says why).

    Raises:
        UserError: For a mistake in the settings, or if the models did not sit the same
            exam, so that no table may hold them.
    """
    made = plan.make_plan(argv)
    made.output.mkdir(parents=True, exist_ok=True)
    tuned = tuning.tune(made) if made.trials else {}
    outcomes = runner.run_all(
        [
            runner.Job(row, seed, made, made.output / "runs" / row.name / str(seed))
            for row in made.rows_with(tuned)
            for seed in made.seeds
        ],
        "models and seeds",
    )
    exams = exam.same_exam(outcomes)
    benchmark = tables.assemble(made, outcomes, exams, tuned)
    tables.write(made.output, benchmark)
    written = report.write(made.output)
    print((made.output / "benchmark.md").read_text("utf-8"))
    print(f"To look at: {written}")
    failed = sum(outcome.error is not None for outcome in outcomes)
    if failed:
        print(f"{failed} of {len(outcomes)} runs failed.", file=sys.stderr)
    return 1 if failed else 0
