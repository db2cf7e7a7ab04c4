"""Fashion dialogues: how the garment that people want differs from those shown.

Reads sessions.json.gz and attributes.json.gz (Multi-turn FashionIQ; gzipped or not) of
a folder. Writes, for --output dataset/fashion-dialogues, the atomic files
fashion-dialogues.inter, .item and .request, and beside them
fashion-dialogues.request.json, which records how the requests were made.

- A session is a user with one request. The garments shown in it are interactions
  without a request, in the order of showing: history, never ranked as queries. The
  garment that was wanted is the request's positive.
- The request is all feedback of the session in the order in which it was given, each
  person's words a sentence: "is darker. has longer sleeves. is belted". --feedback=last:
  only what was said about the garment shown last.
- Timestamps are positions in the session, 1 for the garment shown first. They order a
  session; between sessions they mean nothing.
- Item text: six columns of attribute words (category, texture, fabric, shape, part,
  style), each word once. Several annotations of one garment, lists 7 to 12 and so on, are
  joined. A garment without attributes has the one word "garment", as models need some
  text of every product; it is a candidate like others.
- Pictures are not used: the files hold only their addresses.
"""

import argparse
import gzip
import json
import re
import zlib
from pathlib import Path

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.folder import replacing

ATTRIBUTES = ("category", "texture", "fabric", "shape", "part", "style")
FEEDBACK = ("all", "last")
#: The text of a garment of which nothing is known.
UNKNOWN = "garment"

_GZIP = b"\x1f\x8b"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    option = parser.add_argument
    option("--input", required=True, help="folder of sessions.json and attributes.json")
    option(
        "--output",
        required=True,
        help="folder to write; its name becomes the dataset's",
    )
    option(
        "--feedback",
        choices=FEEDBACK,
        default="all",
        help="all: a request is all feedback of a session, in order; last: only that "
        "about the garment shown last (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Convert as the command line says and print a summary."""
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    counts = convert(**settings)
    output = Path(args.output)
    name = output.resolve().name
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    print(
        f"Read {counts['sessions']:,} sessions with {counts['feedback']:,} sentences of "
        f"feedback; {counts['without_feedback']:,} sessions without any are left out.\n"
        f"Kept {counts['requests']:,} requests and {counts['history']:,} garments shown "
        f"before them; {counts['items']:,} garments in total, of which "
        f"{counts['items_without_attributes']:,} have no attributes: their text is "
        f"'{UNKNOWN}'.\n"
        f"Wrote {output / name}.inter, .item, .request and .request.json.\n"
        f"Next: recbole-whisperlite run --model=WhisperLite --dataset={name}{folder}"
    )


def convert(input: str | Path, output: str | Path, feedback: str = "all") -> dict:
    """Write the sessions as the dataset ``output`` (see the module docstring).

    Args:
        input (str or Path): The folder of the two files.
        output (str or Path): The dataset's folder; its name becomes the dataset's name.
        feedback (str): One of :data:`FEEDBACK`.

    Returns:
        dict: How much was read and kept, as stored in ``.request.json``.

    Raises:
        UserError: If a file is missing or cannot be read, or no session has feedback.
    """
    from recbole_whisperlite.data.atomic import write_atomic

    name = Path(output).resolve().name
    with replacing(output) as folder:
        sessions, counts = _read_sessions(input, feedback)
        attributes = _read_attributes(input)
        # in order of first appearance
        items = dict.fromkeys(
            item for shown, _, wanted in sessions.values() for item in (*shown, wanted)
        )
        unknown = [UNKNOWN, *[""] * (len(ATTRIBUTES) - 1)]
        texts = {item: attributes.get(item, unknown) for item in items}
        counts.update(
            requests=len(sessions),
            distinct_requests=len({text for _, text, _ in sessions.values()}),
            history=sum(len(shown) for shown, _, _ in sessions.values()),
            items=len(items),
            items_without_attributes=sum(words is unknown for words in texts.values()),
        )
        about = {
            "composed": False,
            "kind": "dialogue",
            "source": "Multi-turn FashionIQ",
            "settings": {"input": str(input), "feedback": feedback},
        }
        (folder / f"{name}.request.json").write_text(
            json.dumps({**about, "counts": counts}, indent=2) + "\n", encoding="utf-8"
        )
        write_atomic(
            folder / f"{name}.item",
            {"item_id": "token", **dict.fromkeys(ATTRIBUTES, "token_seq")},
            ((item, *words) for item, words in texts.items()),
        )
        write_atomic(
            folder / f"{name}.request",
            {"request_id": "token", "request": "token"},
            ((number, text) for number, (_, text, _) in sessions.items()),
        )
        write_atomic(
            folder / f"{name}.inter",
            {
                "user_id": "token",
                "item_id": "token",
                "request_id": "token",
                "timestamp": "float",
            },
            _lines(sessions),
        )
    return counts


def _lines(sessions):
    """Yield the lines of ``.inter``: what a session showed, then what it was for."""
    for number, (shown, _, wanted) in sessions.items():
        for time, item in enumerate(shown, start=1):
            yield f"s{number}", item, "", time
        yield f"s{number}", wanted, number, len(shown) + 1


def _read_sessions(folder, feedback):
    """Return ``{number from 1: (items shown, request, item wanted)}`` and counts."""
    path, records = _read(folder, "sessions", list)
    sessions, counts = {}, {"sessions": len(records), "feedback": 0}
    for number, record in enumerate(records, start=1):
        place = f"{path}, session {number}"
        target = _part(record, dict, "object", "target", place)
        turns = _part(record, dict, "object", "reference", place)
        if not isinstance(target, list) or len(target) != 2:
            raise _wrong(f"{place}, target", target, "[picture url, id]")
        if not isinstance(turns, list):
            raise _wrong(f"{place}, reference", turns, "a list of garments")
        shown, said = [], []
        for turn, garment in enumerate(turns, start=1):
            here = f"{place}, reference {turn}"
            if not isinstance(garment, list) or len(garment) != 3:
                raise _wrong(here, garment, "[picture url, [feedback, …], id]")
            _, words, item = garment
            shown.append(_id(item, here))
            said.append(_sentences(words, here))
        if feedback == "last":
            said = said[-1:]
        said = [sentence for words in said for sentence in words]
        counts["feedback"] += len(said)
        wanted = _id(target[1], f"{place}, target")
        if said:
            sessions[number] = shown, ". ".join(said), wanted
    if not sessions:
        raise UserError(f"{path}: none of {len(records):,} sessions has feedback.")
    counts["without_feedback"] = len(records) - len(sessions)
    return sessions, counts


def _read_attributes(folder):
    """Return ``{id: [words of each of ATTRIBUTES, joined by spaces]}``."""
    path, records = _read(folder, "attributes", dict)
    attributes = {}
    for item, lists in records.items():
        place = f"{path}, garment '{item}'"
        if not isinstance(lists, list):
            raise _wrong(place, lists, f"lists of {', '.join(ATTRIBUTES)}")
        columns = [{} for _ in ATTRIBUTES]  # as ordered sets
        for number, words in enumerate(lists):
            if not isinstance(words, list):
                raise _wrong(f"{place}, list {number + 1}", words, "a list of words")
            for word in words:
                if not isinstance(word, str):
                    raise _wrong(f"{place}, list {number + 1}", word, "a word")
                parts = (_clean(part) for part in re.split("[,;，；]", word))
                # a seventh list begins another annotation of the same garment
                columns[number % len(ATTRIBUTES)].update(
                    dict.fromkeys(part.lower() for part in parts if part)
                )
        if any(columns):
            attributes[_clean(item)] = [" ".join(words) for words in columns]
    return attributes


def _sentences(words, place):
    if not isinstance(words, list):
        raise _wrong(place, words, "a list of feedback")
    for sentence in words:
        if not isinstance(sentence, str):
            raise _wrong(place, sentence, "feedback as text")
    cleaned = (_clean(sentence).rstrip(" .") for sentence in words)
    return [sentence for sentence in cleaned if sentence]


def _clean(text):
    """Join the words by single spaces; JSON can hold half a surrogate pair."""
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def _id(item, place):
    if not isinstance(item, str) or not _clean(item):
        raise _wrong(place, item, "the id of a garment")
    return _clean(item)


def _part(record, kind, word, key, place):
    if not isinstance(record, kind):
        raise _wrong(place, record, f"an {word} with target and reference")
    if key not in record:
        raise UserError(
            f"{place}: there is no '{key}'. The session has "
            f"{', '.join(map(str, record)) or 'no keys'}."
        )
    return record[key]


def _wrong(place, found, expected):
    return UserError(f"{place}: {json.dumps(found):.80} is not {expected}.")


def _read(folder, name, kind):
    """Return a json file's path and its content, a list or an object."""
    path = _file(folder, name)
    content = path.read_bytes()
    try:
        if content[:2] == _GZIP:
            content = gzip.decompress(content)
        records = json.loads(content.decode("utf-8"))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{path}: the gzip file is damaged ({error}). Download it again."
        ) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not valid UTF-8, "
            "which JSON is written in. Convert the file."
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: this is not JSON ({error}).") from None
    if not isinstance(records, kind):
        expected = "a list of sessions" if kind is list else "an object of garments"
        raise _wrong(path, records, expected)
    return path, records


def _file(folder, name):
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: this folder does not exist.")
    for file in (f"{name}.json.gz", f"{name}.json"):
        if (folder / file).is_file():
            return folder / file
    files = ", ".join(sorted(path.name for path in folder.iterdir())) or "no files"
    raise UserError(
        f"{folder}: there is no {name}.json.gz (nor {name}.json); the folder holds "
        f"{files}."
    )
