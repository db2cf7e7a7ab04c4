"""Writes docs/results.md, docs/settings.md, docs/pypi.md, README's table: ``make pages``.

Nothing on these pages is written by hand. The tables come from ``results/``, what
has to be said about each from ``results/index.yaml``, and settings from the annotated
files in ``properties/``. The table of README is the one that ``index.yaml`` names first.
``pypi.md`` is README as an index of packages can show it.
"""

import re
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# What tables made by an earlier version call it, and what it is called now.
RENAMED = {"may see": "inputs", "exam ": "fingerprint ", "over units": "over queries"}
SHOWN = ("ndcg", "recall", "mrr", "violation")
GENERATED = (
    "<!-- Made by docs/generate.py (make pages): change {}, not this page. -->\n"
)


def pages() -> dict[Path, str]:
    """Return the files that are made, ``{path: text}``."""
    return {
        DOCS / "results.md": results_page(),
        DOCS / "settings.md": settings_page(),
        ROOT / "README.md": (front := readme()),
        DOCS / "pypi.md": description(front),
    }


def readme(folder: Path = ROOT / "results") -> str:
    """Return README with its table put in between the two marks."""
    index = yaml.safe_load((folder / "index.yaml").read_text("utf-8"))
    name, about = next(iter(index["tables"].items()))
    table, notes = _table(folder / name / "benchmark.md", about.get("metrics", SHOWN))
    text = (ROOT / "README.md").read_text("utf-8")
    before, begin, rest = text.partition("<!-- front table -->\n")
    _, end, after = rest.partition("<!-- /front table -->\n")
    return f"{before}{begin}\n{about['front'].strip()}\n\n{table}\n\n{end}{after}"


def description(front: str) -> str:
    """Return README as the description of the package, where it has no folder around it.

    Pictures, with their captions, and links to files are left out: an index of packages
    would look for them on its own site.

    Args:
        front (str): README.
    """
    text = re.sub(r"^<!--.*-->\n\n?", "", front, flags=re.MULTILINE)
    picture = r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n\n(?:\*[^*\n]+\*\n\n)?"
    text = re.sub(picture, "", text, flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
    here, there = "pip install . ", "pip install recbole-whisperlite "
    longer = " " * (len(there) - len(here))
    text = text.replace(here + longer, there)
    return text.rstrip() + "\n\n" + _WHERE_THE_PAGES_ARE


_WHERE_THE_PAGES_ARE = """\
The pages that this text speaks of, and its pictures, are in the folder `docs/` of the source
distribution (`pip download --no-deps --no-binary :all: recbole-whisperlite`), as is all that `make`
needs.
"""


# ------------------------------------------------------------------------- results


def results_page(folder: Path = ROOT / "results") -> str:
    """Return the page of tables.

    Args:
        folder (Path): With ``index.yaml`` and one folder a table, each with the
            ``benchmark.md`` that a benchmark wrote.
    """
    index = yaml.safe_load((folder / "index.yaml").read_text("utf-8"))
    parts = [GENERATED.format("results/index.yaml"), "# Results\n", index["note"]]
    for name, about in index["tables"].items():
        parts.append(f"## {about['title']}\n")
        parts.append(_seeds_and_day(about, index))
        parts.append(about.get("note", ""))
        commands = [about.get("prepare", ""), about["command"]]
        text = "\n".join(c.strip() for c in commands if c)
        parts.append(f"```bash\n{text}\n```\n")
        table, notes = _table(
            folder / name / "benchmark.md", about.get("metrics", SHOWN)
        )
        parts += [f"{table}\n", f"{notes}\n"]
        earlier = folder / name / "earlier.md"
        if earlier.is_file():
            table, _ = _table(earlier, about.get("metrics", SHOWN))
            parts += [f"{index['earlier']}\n", f"{table}\n"]
        files = [f"`{path.name}`" for path in sorted((folder / name).glob("*.csv"))]
        files += [f"`benchmark{suffix}`" for suffix in (".md", ".tex")]
        parts.append(f"Files in `results/{name}/`: {', '.join(files)}.\n")
    return "\n".join(part.strip() + "\n" for part in parts if part.strip())


def _seeds_and_day(about, index):
    seeds = ", ".join(map(str, about["seeds"]))
    day = about.get("made", index["made"])
    return f"Requests: {about['requests']}. Seeds: {seeds}. Made on {day}.\n"


def _table(path, metrics):
    """Return the table with the chosen columns, and what stands below it.

    Below it stand notes and, in tables made since version 0.2, two more tables: the
    differences from the reference, and the slice by how often a product was chosen.
    """
    text = path.read_text("utf-8")
    for old, new in RENAMED.items():
        text = text.replace(old, new)
    text, *more = re.split(r"^### ", text, flags=re.MULTILINE)
    lines = text.splitlines()
    table = [_cells(line) for line in lines if line.startswith("|")]
    notes = "\n".join(line for line in lines if not line.startswith("|")).strip()
    head, rows = table[0], table[2:]
    wanted = [n for m in metrics for n in head if n.partition("@")[0] == m]
    trials = [name for name in head if name == "trials"]
    shown = [head[0], head[1], *wanted, *trials, head[-1]]
    out = [
        "| " + " | ".join(map(shown_name, shown)) + " |",
        "|---|---|" + "---:|" * (len(shown) - 2),
    ]
    for row in rows:
        if "failed" in row[2:]:
            cells = [row[0], row[1], "failed", *[""] * (len(shown) - 3)]
        else:
            by_name = dict(zip(head, row))
            figures = [figure(by_name[name]) for name in shown[2:-1]]
            cells = [row[0], row[1], *figures, seconds(by_name[shown[-1]])]
        out.append("| " + " | ".join(cells) + " |")
    return "\n".join(out), "\n\n".join([notes, *map(_further, more)])


def _further(section):
    """Return a table below the first with a bold title: it is no section of the page."""
    title, _, table = section.partition("\n")
    title = re.sub(r"\S+@\d+", lambda name: shown_name(name[0]), title)
    return f"**{title}**\n\n{figure(table.strip())}"


def _cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def shown_name(name: str) -> str:
    """Return the head of a column as papers write it: ``ndcg@10`` is ``NDCG@10``."""
    metric, at, k = name.partition("@")
    if not at:
        return name
    upper = metric.upper() if metric in ("ndcg", "mrr", "map") else metric.capitalize()
    return f"{upper}@{k}"


def figure(cell: str) -> str:
    """Return a cell without leading zeros and without a deviation of zero."""
    return re.sub(r"(?<!\d)0\.(?=\d)(?!\d+ %)", ".", cell).replace(" ± .0000", "")


def seconds(cell: str) -> str:
    """Return seconds as whole numbers, ``< 1`` below one."""
    return "< 1" if float(cell) < 1 else f"{float(cell):.0f}"


# ------------------------------------------------------------------------ settings


def settings_page(folder: Path = ROOT / "properties") -> str:
    """Return the page of settings.

    Args:
        folder (Path): With ``dataset/``, ``model/`` and ``experiment/``.
    """
    parts = [GENERATED.format("properties/"), "# Settings\n", _INTRODUCTION]
    parts.append("## Datasets with requests\n")
    parts.append("For every model, as soon as the dataset has requests.\n")
    parts.append(settings_table(folder / "dataset" / "request.yaml"))
    parts += ["## RecBole's own\n", _OF_RECBOLE]
    parts.append(settings_table(folder / "overall.yaml"))
    for path in _models(folder):
        name = path.stem
        parts.append(f"## {name}\n")
        bases = [f"[{base}](#{base.lower()})" for base in bases_of(name)]
        if bases:
            parts.append(
                f"{name} has all settings of {' and '.join(bases)}, and these. A setting "
                "that both tables name has the default of this one.\n"
            )
        parts.append(settings_table(path))
    parts += ["## What a dataset sets\n", _OF_DATASETS]
    for path in sorted((folder / "dataset").glob("*.yaml")):
        if path.stem != "request":
            parts.append(f"**{path.stem}** (`properties/dataset/{path.name}`)\n")
            values = yaml.safe_load(path.read_text("utf-8"))
            lines = [f"| `{key}` | `{shown(value)}` |" for key, value in values.items()]
            parts.append("\n".join(["| setting | value |", "|---|---|", *lines]))
    parts += ["## Presets\n", _OF_PRESETS]
    parts.append("| preset | what it is |\n|---|---|")
    lines = [
        f"| `{path.stem}` | {_purpose(path)} |"
        for path in sorted((folder / "experiment").glob("*.yaml"))
    ]
    parts[-1] += "\n" + "\n".join(lines)
    return "\n".join(part.strip() + "\n" for part in parts)


_INTRODUCTION = """\
Every setting can be given on the command line as `--key=value`, in a yaml file named by
`--config_files`, or in `config_dict` of RecBole's functions. The command line comes before
`config_dict`, that before files, and all of them before the defaults below. `~` means: not
set. [RecBole's own settings](https://recbole.io/docs/user_guide/config_settings.html)
(`epochs`, `learning_rate`, `eval_args` and so on) work as they always do. With a model of
this package, or on a dataset with requests, a misspelt name is refused with the nearest one
that exists, and so is a value of another type or out of the range that stands here. A round
bracket leaves its end out: 1 is not in [0, 1). Whole numbers without an upper end go up
to 2,147,483,647.
"""
_OF_RECBOLE = """\
Those whose values are checked, with RecBole's defaults; what is said above or of a model
comes first.
"""
_OF_DATASETS = """\
A dataset may have a file of its own, whose values stand between the defaults above and
what you set.
"""
_OF_PRESETS = """\
`--config_files=<preset>` takes one by name, from any folder; several are separated by
spaces, and the last one wins. Those with a section `models:` are
[benchmarks](benchmark.md); `whisperlite-mini` is for `recbole-whisperlite clip finetune`.
"""


def _models(folder):
    first = ["WhisperLite", "WhisperLitePlus"]
    paths = sorted(
        (folder / "model").glob("*.yaml"), key=lambda path: path.stem.lower()
    )
    return sorted(paths, key=lambda path: path.stem not in first)


def bases_of(name: str) -> list[str]:
    """Return the models whose settings a model inherits, the nearest last."""
    import recbole_whisperlite

    recbole_whisperlite.register()
    from recbole_whisperlite.model.names import find_model, settings_files

    return [path.stem for path in settings_files(find_model(name))][:-1]


def settings_table(path: Path) -> str:
    """Return the annotated settings of a yaml file as a table."""
    from recbole_whisperlite.config.annotated import read_settings

    lines = ["| setting | default | type | meaning |", "|---|---|---|---|"]
    values = yaml.safe_load(path.read_text("utf-8"))
    return "\n".join([*lines, *_rows(read_settings(path), values)])


def _rows(settings, values, above=""):
    for key, setting in settings.items():
        default = setting.default
        default = default.strip("'\"") if default[:1] in "'\"" else default
        # a block follows in the yaml
        default = default or shown(values[key])
        meaning = setting.meaning.replace("|", r"\|")
        yield f"| `{above}{key}` | `{default}` | {setting.kind} | {meaning} |"
        yield from _rows(setting.entries, values[key], f"{above}{key}: ")


def shown(value) -> str:
    """Return a value on one line, as it would be written in yaml."""
    line = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return line.removesuffix("\n...\n").strip()


def _purpose(path):
    """Return the first sentence of a preset's leading comment."""
    lines = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("# ") or line.startswith("#   "):
            break
        lines.append(line[2:])
    text = " ".join(lines)
    sentence = re.match(r"(.+?[.:])(?= [A-Z]|$)", text)
    text = sentence.group(1) if sentence else text
    return re.sub(r",? made by$", "", text.rstrip(":.")).replace("|", r"\|") + "."


def main(argv: list[str]) -> int:
    """Write the pages; with ``--check``, only say which are not current."""
    stale = 0
    for path, text in pages().items():
        name = path.relative_to(ROOT)
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale += 1
        if "--check" in argv:
            print(f"{name} is not current: run make pages.", file=sys.stderr)
        else:
            path.write_text(text, "utf-8")
            print(f"wrote {name}")
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
