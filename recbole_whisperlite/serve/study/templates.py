"""The pages of a study as Jinja templates, in the colours of the benchmark's report."""

from __future__ import annotations

import functools
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined


@functools.cache
def _environment():
    return Environment(
        loader=PackageLoader("recbole_whisperlite.serve.study", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(name: str, **values) -> str:
    """Return a page; all texts are escaped."""
    return _environment().get_template(name).render(**values)


@functools.cache
def stylesheet(name: str) -> str:
    """Return the style of the benchmark's report, and after it a file of ours."""
    package = resources.files(
        "recbole_whisperlite"
    )  # importing benchmark takes seconds
    report = package / "benchmark" / "report" / "page.css"
    own = package / "serve" / "study" / "pages" / name
    return report.read_text("utf-8") + own.read_text("utf-8")
