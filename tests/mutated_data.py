"""How runs end on a dataset that was harmed at random.

A longer measurement than the tests have time for, as figures for docs/reliability.md::

    PYTHONPATH=.:tests python tests/mutated_data.py --times 5000

Each time a copy of a dataset of thirty users is changed in one to three places: bytes,
cells, columns, lines or whole files. A run on it ends well, or with a sentence and status
2; a traceback and a hang are faults, and so is another result than before where a change
means nothing, such as another end of the lines. Each fault is printed with its number,
which ``--only`` repeats, and leaves its folder where ``--keep`` says.
"""

import argparse
import collections
import gzip
import json
import random
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from tqdm import tqdm

import forked
from kills import command
from wrong_settings import write_shop

MODELS = ("WhisperLite", "WhisperLitePlus", "BM25", "BPR", "SASRec")
#: What people, programs and spreadsheets leave in cells.
CELLS = (
    *(
        "",
        " ",
        "  x ",
        "nan",
        "NaN",
        "NULL",
        "None",
        "NA",
        "inf",
        "-inf",
        "1e999",
        "-0",
    ),
    *("0", "1", "1.0", "1e3", "1,5", "0x1F", "１２", "99999999999999999999", "-5"),
    *("2024-01-01", "True", '"', '"a', 'a"b', "'", "\\", "a\\tb", "[PAD]", "#", "%s"),
    *("{title}", "<b>x</b>", "../../x", "=1+1", "é", "e\u0301", "\u200b", "\ufeff"),
    *(
        "\u202e",
        "😀",
        "İ",
        "\x00",
        "\x0b",
        "\x0c",
        "\x1a",
        "\x85",
        "\u2028",
        "a" * 5000,
    ),
    *("word " * 50_000, "i1", "u1", "r1", "a b c"),
)
TYPES = ("token", "float", "token_seq", "float_seq", "int", "", "TOKEN", "float:float")
BYTES = (b"\x00", b"\xff", b"\xfe\xff", b'"', b"\t", b"\n", b"\r", b"\xc3", b":", b",")
FILES = ("inter", "request", "item")


def lines_of(path):
    """Return the cells of a file, a list for each line."""
    return [line.split("\t") for line in path.read_text("utf-8").splitlines()]


def write(path, lines, end="\n"):
    """Write cells as lines."""
    text = end.join("\t".join(line) for line in lines) + end
    path.write_bytes(text.encode("utf-8", "surrogatepass"))


def a_cell(rng, path):
    lines = lines_of(path)
    line = rng.choice(lines[1:])
    line[rng.randrange(len(line))] = rng.choice(CELLS)
    write(path, lines)


def some_cells(rng, path):
    lines = lines_of(path)
    column, value = rng.randrange(len(lines[0])), rng.choice(CELLS[:-4])
    for line in lines[1:]:
        if rng.random() < 0.3:
            line[column] = value
    write(path, lines)


def a_type(rng, path):
    lines = lines_of(path)
    column = rng.randrange(len(lines[0]))
    name = lines[0][column].partition(":")[0]
    lines[0][column] = f"{name}:{rng.choice(TYPES)}"
    write(path, lines)


def a_name(rng, path):
    lines = lines_of(path)
    column = rng.randrange(len(lines[0]))
    lines[0][column] = rng.choice(["", "x", lines[0][0], "label:float", "rating:float"])
    write(path, lines)


def a_column_gone(rng, path):
    lines = lines_of(path)
    column = rng.randrange(len(lines[0]))
    write(path, [line[:column] + line[column + 1 :] for line in lines])


def a_column_twice(rng, path):
    lines = lines_of(path)
    column = rng.randrange(len(lines[0]))
    write(path, [[*line, line[column]] for line in lines])


def a_line(rng, path):
    lines = lines_of(path)
    at = rng.randrange(len(lines))
    change = rng.choice(["gone", "twice", "empty", "short", "long"])
    if change == "gone":
        del lines[at]
    elif change == "twice":
        lines.insert(rng.randrange(len(lines)), lines[at])
    elif change == "empty":
        lines.insert(at, [""])
    else:
        lines[at] = lines[at][:-1] if change == "short" else [*lines[at], "more"]
    write(path, lines)


def few_lines(rng, path):
    lines = lines_of(path)
    write(path, lines[: 1 + rng.choice([0, 1, 2, 5])])


def a_byte(rng, path):
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    content[at : at + rng.randrange(2)] = rng.choice(BYTES)
    path.write_bytes(content)


def half(rng, path):
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def a_file(rng, path):
    change = rng.choice(
        ["gone", "empty", "folder", "utf-16", "gzip", "noise", "locked"]
    )
    content = path.read_bytes()
    path.unlink()
    if change == "folder":
        path.mkdir()
    elif change == "locked":
        path.write_bytes(content)
        path.chmod(0)  # of no effect for root
    elif change != "gone":
        path.write_bytes(
            {
                "empty": b"",
                "utf-16": content.decode("utf-8", "replace").encode("utf-16"),
                "gzip": gzip.compress(content),
                "noise": rng.randbytes(3000),
            }[change]
        )


def notes(rng, path):
    text = rng.choice(
        ["", "{", "[]", "3", '{"requests": 3}', '{"template": "{x}"}', "\0"]
    )
    path.with_suffix(".request.json").write_text(text)


def other_ends(rng, path):
    write(path, lines_of(path), end="\r\n")


def a_mark(rng, path):
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def no_last_end(rng, path):
    path.write_bytes(path.read_bytes().rstrip(b"\n"))


HARM = (a_cell, some_cells, a_type, a_name, a_column_gone, a_column_twice, a_line)
HARM += (few_lines, a_byte, half, a_file, notes)
#: These change nothing that a dataset says.
HARMLESS = (other_ends, a_mark, no_last_end)


def harm(rng, folder):
    """Change a dataset; return the names of the changes, and whether they mean nothing."""
    is_harmless = rng.random() < 0.1
    of = HARMLESS if is_harmless else HARM
    changes = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        path = folder / f"shop.{rng.choice(FILES)}"
        change = rng.choice(of)
        if not path.is_file():
            continue
        try:
            change(rng, path)
        except (ValueError, IndexError):  # of a change before
            continue
        changes.append(f"{change.__name__} of .{path.suffix[1:]}")
    return ", ".join(changes), is_harmless


def end_of(folder, model, limit):
    """Return how a run in a folder ended, its last line, and its result."""

    def work(_):
        return command(
            *("run", f"--model={model}", "--dataset=shop", "--encoder=tfidf"),
            f"--data_path={folder}/data",
            *("--epochs=1", "--use_gpu=False", "--topk=[5]"),
            *("--valid_metric=NDCG@5", "--cache_dir=cache", "--checkpoint_dir=saved"),
            *("--result_file=result.json", "--state=WARNING", "--show_progress=False"),
        )

    status, printed = forked.end_of(work, folder, folder.parent / "output.txt", limit)
    last = (printed.strip().splitlines() or [""])[-1]
    if status is None:
        return "hang", last, None
    if status == 0:
        result = json.loads((folder / "result.json").read_text())
        return "ended well", last, result["test_result"]
    is_sentence = forked.is_sentence(status, printed) and "error: " in printed
    return "sentence" if is_sentence else "traceback", last, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one case")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a run")
    parser.add_argument("--keep", type=Path, help="where folders of faults are left")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    counts, faults, before = collections.Counter(), 0, {}
    with tempfile.TemporaryDirectory() as home:
        home = Path(home)
        source = write_shop(home / "source")
        for number in tqdm(range(-len(MODELS), args.times), disable=None):
            if args.only is not None and number not in (
                args.only,
                *range(-len(MODELS), 0),
            ):
                continue
            rng = random.Random(f"{args.seed} {number}")
            model = MODELS[number % len(MODELS)]
            folder = home / "case" / "run"
            folder.mkdir(parents=True)
            shutil.copytree(source, folder / "data")
            changes, is_harmless = "nothing", True
            if number >= 0:
                changes, is_harmless = harm(rng, folder / "data" / "shop")
            end, last, result = end_of(folder, model, args.limit)
            before.setdefault(model, result)
            if is_harmless and result != before[model]:
                end = "another result"
            counts[end] += number >= 0
            if end not in ("sentence", "ended well"):
                faults += 1
                tqdm.write(f"{number}: {end}: {model}, {changes}: {last[:300]}")
                if args.keep:
                    shutil.copytree(folder.parent, args.keep / str(number))
            shutil.rmtree(folder.parent)
    print(f"{sum(counts.values())} runs: {dict(counts)}; faults: {faults}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
