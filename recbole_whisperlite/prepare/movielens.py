"""MovieLens: the tags that users typed are the requests.

Reads tags, ratings and movies of a release's folder: the csv files of ml-latest-small,
ml-latest, ml-20m, ml-25m and ml-32m, or the .dat files of ml-10m. Writes, for --output
dataset/ml-tags, the atomic files ml-tags.inter, ml-tags.item and ml-tags.request, and
beside them ml-tags.request.json, which records how the requests were made.

- Tags are lower-cased and trimmed. Junk, which describes the user's collection rather
  than the film, is dropped by the rules in JUNK; the dropped tags are printed with
  their counts.
- --requests=film: the tags that a user gave one film are one request ("heist, twist
  ending"), in the order in which they were typed. --requests=tag: each tag is one.
- Films to which a user gave the same text on the same day are positives of one request.
  Its time is that of its first tag.
- Ratings of --min_rating or more are interactions without a request, unless the user
  has tagged the film: lines of .inter with an empty request_id. They are history and
  are never ranked as queries.
- Item text: title, year, genres. The catalogue holds every film that occurs in .inter.
- Requests are written after the interaction, by the users themselves.

With --requests=tag a film with several tags is a positive of several requests of one
user, which may fall into different parts of the split. Items that a user has seen in
training are not candidates in the test set unless they are positives, so a positive
that was seen in training stands out by being a candidate at all. That is why film is
the default.
"""

import argparse
import json
import math
import re
from pathlib import Path

from tqdm import tqdm

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.prepare.folder import replacing
from recbole_whisperlite.prepare.reading import read_columns, where

#: Patterns that drop a tag if they match all of it, and the reason.
JUNK = {
    r".*\b(netflix|queue|watch ?list|wish ?list|dvds?|vhs|blu-?ray|bd-r|dvr|tivo|clv)\b.*": (
        "where to get the film"
    ),
    r"(not |already |have |haven't )?(seen|watched|own|owned)( .*)?": (
        "whether the user has seen or owns it"
    ),
    r"(want to|to|must|should|need to) (see|watch|own|buy|rent)( .*)?": "a plan",
    r"my (dvds?|movies|collection|list|favou?rites?)( .*)?": "one of the user's lists",
    r"tags?|todo|test|misc|other|none|n/?a": "no content",
    r"[\W_]*|[a-z]": "no word",
}
REQUESTS = ("film", "tag")

_COLUMNS = {
    "tags": ("userId", "movieId", "tag", "timestamp"),
    "ratings": ("userId", "movieId", "rating", "timestamp"),
    "movies": ("movieId", "title", "genres"),
}
_YEAR = re.compile(r"\((\d{4})[^()]*\)\s*$")
_SECONDS_A_DAY = 86400
_LINES_A_PROGRESS = 1 << 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to ``parser``."""
    option = parser.add_argument
    option("--input", required=True, help="folder of a release, e.g. ml-latest-small")
    option(
        "--output",
        required=True,
        help="folder to write; its name becomes the dataset's",
    )
    option(
        "--requests",
        choices=REQUESTS,
        default="film",
        help="film: a user's tags for a film are one request; tag: each tag is one "
        "(default: %(default)s)",
    )
    option(
        "--min_rating",
        type=float,
        default=4.0,
        help="lowest rating that counts as an interaction (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    """Convert as the command line says and print a summary."""
    settings = {key: value for key, value in vars(args).items() if key != "source"}
    counts = convert(**settings)
    output = Path(args.output)
    name = output.resolve().name
    folder = "" if output.parent == Path("dataset") else f" --data_path={output.parent}"
    print(
        f"Read {counts['tags']:,} tags. Dropped as junk: {sum(counts['junk'].values())}"
    )
    for text, count in counts["junk"].items():
        print(f"  {count:6,}  {text}")
    print(
        f"Kept {counts['requests']:,} requests of {counts['askers']:,} users with "
        f"{counts['distinct_requests']:,} distinct texts and {counts['answers']:,} "
        f"positives; for {counts['repeated_answers']:,} of these the film is also in "
        "an earlier request of the user.\n"
        f"{counts['history']:,} ratings of {args.min_rating} or more serve as history; "
        f"{counts['users']:,} users and {counts['items']:,} films in total.\n"
        f"Wrote {output / name}.inter, .item, .request and .request.json.\n"
        f"Next: recbole-whisperlite run --model=WhisperLite --dataset={name}{folder}"
    )


def convert(
    input: str | Path,
    output: str | Path,
    requests: str = "film",
    min_rating: float = 4.0,
) -> dict:
    """Write a release as the dataset ``output`` (see the module docstring).

    Tags and films are held in memory; ratings are streamed, twice.

    Args:
        input (str or Path): The release's folder.
        output (str or Path): The dataset's folder; its name becomes the dataset's name.
        requests (str): One of :data:`REQUESTS`.
        min_rating (float): Lowest rating that counts as an interaction.

    Returns:
        dict: How much was read and kept, as stored in ``.request.json``.

    Raises:
        UserError: If a file is missing or cannot be read, or no tag is left.
    """
    from recbole_whisperlite.data.atomic import write_atomic

    about = {
        "composed": False,
        "kind": "tag",
        "source": "MovieLens",
        "settings": {
            "input": str(input),
            "requests": requests,
            "min_rating": min_rating,
        },
    }
    name = Path(output).resolve().name
    with replacing(output) as folder:
        tagged, counts = _read_tags(input)
        asked = _ask(tagged, requests)
        if not asked:
            raise UserError(f"{input}: none of {counts['tags']:,} tags is left.")
        history = {"count": 0, "users": {key[0] for key in asked}, "items": set()}
        for user, movie, _ in _read_history(input, min_rating, tagged):
            history["count"] += 1
            history["users"].add(user)
            history["items"].add(movie)
        pairs = [
            (key[0], movie) for key, (_, movies) in asked.items() for movie in movies
        ]
        used = history["items"] | {movie for _, movie in pairs}
        counts.update(
            requests=len(asked),
            distinct_requests=len({text for _, text, _ in asked}),
            askers=len({user for user, _, _ in asked}),
            answers=len(pairs),
            repeated_answers=len(pairs) - len(set(pairs)),
            history=history["count"],
            users=len(history["users"]),
            items=len(used),
        )
        (folder / f"{name}.request.json").write_text(
            json.dumps({**about, "counts": counts}, indent=2) + "\n", encoding="utf-8"
        )
        write_atomic(
            folder / f"{name}.item",
            {
                "item_id": "token",
                "title": "token",
                "year": "token",
                "genres": "token_seq",
            },
            _films(input, used),
        )
        write_atomic(
            folder / f"{name}.request",
            {"request_id": "token", "request": "token"},
            ((number, text) for number, (_, text, _) in enumerate(asked, start=1)),
        )
        write_atomic(
            folder / f"{name}.inter",
            {
                "user_id": "token",
                "item_id": "token",
                "request_id": "token",
                "timestamp": "float",
            },
            _choices(asked, _read_history(input, min_rating, tagged)),
        )
    return counts


def junk(tag: str) -> str | None:
    """Return the reason why a lower-cased tag is dropped, or None if it is kept.

    >>> junk("in netflix queue")
    'where to get the film'
    """
    for pattern, reason in _JUNK:
        if pattern.fullmatch(tag):
            return reason


_JUNK = [(re.compile(pattern), reason) for pattern, reason in JUNK.items()]


def _read_tags(folder):
    """Return ``{(user, movie): [(time, tag), …]}`` and counts of what was read."""
    tagged, dropped, texts, total = {}, {}, {}, 0
    for place, (user, movie, tag, time) in _read(folder, "tags"):
        total += 1
        _check_ids(user, movie, place)
        tag = " ".join(tag.lower().split())
        if junk(tag):
            dropped[tag] = dropped.get(tag, 0) + 1
            continue
        time = int(_number(time, "timestamp", place))
        tagged.setdefault((user, movie), []).append((time, texts.setdefault(tag, tag)))
    most_first = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
    return tagged, {"tags": total, "junk": dict(most_first)}


def _ask(tagged, requests):
    """Return ``{(user, text, day): (time, [movie, …])}``, times in Unix seconds."""
    asked = {}
    for (user, movie), tags in tagged.items():
        tags = sorted(
            tags, key=lambda tag: tag[0]
        )  # stable: ties keep the order of the file
        first = {}
        for time, tag in tags:
            first.setdefault(tag, time)
        if requests == "film":
            first = {", ".join(first): tags[0][0]}
        for text, time in first.items():
            key = user, text, time // _SECONDS_A_DAY
            earliest, movies = asked.get(key, (time, []))
            asked[key] = min(earliest, time), [*movies, movie]
    return asked


def _read_history(folder, min_rating, tagged):
    """Yield user, movie and time of ratings that are interactions without a request."""
    for place, (user, movie, rating, time) in _read(folder, "ratings"):
        _check_ids(user, movie, place)
        if (
            _number(rating, "rating", place) >= min_rating
            and (user, movie) not in tagged
        ):
            yield user, movie, int(_number(time, "timestamp", place))


def _films(folder, used):
    """Yield id, title, year and genres of the films in use; missing ones are errors."""
    missing = set(used)
    for _, (movie, title, genres) in _read(folder, "movies"):
        if movie not in missing:
            continue
        missing.remove(movie)
        year = _YEAR.search(title)
        genres = "" if genres == "(no genres listed)" else genres.replace("|", " ")
        yield movie, _YEAR.sub("", title).strip(), year[1] if year else "", genres
    if missing:
        raise UserError(
            f"{_file(folder, 'movies')}: the movie '{min(missing)}' of tags or ratings "
            f"is not in it; {len(missing):,} are missing. Use the files of one release."
        )


def _choices(asked, history):
    """Yield the lines of ``.inter``: positives, then those without a request."""
    for number, ((user, _, _), (time, movies)) in enumerate(asked.items(), start=1):
        for movie in movies:
            yield user, movie, number, time
    for user, movie, time in history:
        yield user, movie, "", time


def _check_ids(user, movie, place):
    if not user or not movie:
        missing = "movieId" if user else "userId"
        raise UserError(f"{where(*place)}: the {missing} is empty.")


def _number(text, name, place):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{where(*place)}: the {name} '{text}' is not a number.")
    return number


def _file(folder, name):
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: this folder does not exist.")
    for suffix in (".csv", ".dat"):
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    files = ", ".join(sorted(path.name for path in folder.iterdir())) or "no files"
    raise UserError(
        f"{folder}: there is no {name}.csv (nor {name}.dat, as in ml-10m); the folder "
        f"holds {files}. Releases without tags (ml-100k, ml-1m) have no requests."
    )


def _read(folder, name):
    """Yield the position (file, row from 0) and the values of each row of a file."""
    path, columns = _file(folder, name), _COLUMNS[name]
    if path.suffix == ".dat":
        yield from _read_dat(path, columns)
        return
    row = 0
    for batch in read_columns(path, list(columns)):
        for values in zip(*(batch[column].to_pylist() for column in columns)):
            yield (path, row), values
            row += 1


def _read_dat(path, columns):
    """Read the layout of ml-10m: ``1::2::a tag::1215184630``, without a header."""
    with open(path, "rb") as file, tqdm(
        desc=path.name,
        total=path.stat().st_size,
        unit="B",
        unit_scale=True,
        disable=None,
    ) as bar:
        for row, line in enumerate(file):
            values = line.decode("utf-8", "replace").rstrip("\r\n").split("::")
            if len(values) != len(columns):
                raise UserError(
                    f"{path}, line {row + 1}: {len(values)} values instead of "
                    f"{len(columns)} ({'::'.join(columns)})."
                )
            yield (path, row), values
            if row % _LINES_A_PROGRESS == 0:
                bar.update(file.tell() - bar.n)
        bar.update(file.tell() - bar.n)
