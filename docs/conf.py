"""How Sphinx builds the pages in this folder: ``make docs``."""

import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from recbole_whisperlite import __version__, register  # noqa: E402

register()  # RecBole first: some modules need it whole

project = "recbole-whisperlite"
author = "recbole-whisperlite contributors"
copyright = f"the {author}"  # noqa: A001
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "pypi.md"]  # which is for an index of packages
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # RecBole's are no reStructuredText
autodoc_typehints = "none"  # the docstrings have the types, with shapes
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shape", ("Reference", "References"), "Reference code"]
napoleon_use_ivar = True
napoleon_use_param = False
napoleon_use_rtype = False

html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"{project} {version}"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
pygments_style = "friendly"


def readable(app, what, name, obj, options, lines):
    """Change RecBole's docstring style, in place, into what napoleon reads.

    RecBole's modules begin with their name as a title, which Sphinx allows at the top of
    a page only, and list arguments as ``- name(type): meaning``.
    """
    if what == "module":
        for number, line in enumerate(lines):
            if re.fullmatch(r"#{3,}", line):
                del lines[max(number - 1, 0) : number + 1]
                break
    in_arguments = False
    for number, line in enumerate(lines):  # a role ends where no letter follows
        lines[number] = re.sub(r"(:\w+:`[^`]+`)(?=\w)", r"\1\\ ", line)
    for number, line in enumerate(lines):
        if re.fullmatch(r"\s*(Args|Attributes):", line):
            in_arguments = True
        elif line.strip() and not line.startswith(" "):
            in_arguments = False
        if in_arguments:
            lines[number] = re.sub(
                r"^(\s+)- (\w[\w, ()]*)(\([^)]*\)):", r"\1\2 \3:", line
            )


def visit_math(self, node):
    """Write a formula as MathML, which browsers show by themselves, also offline."""
    block = isinstance(node, nodes.math_block)
    code = re.sub(r"\\[Bb]igg?(?![a-z])", "", node.astext())  # sizes that are not known
    self.body.append(tex2mathml(code, as_block=block))
    raise nodes.SkipNode


def setup(app):
    """Connect the hook before napoleon's own."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math, None))
    app.connect("autodoc-process-docstring", readable, priority=400)
