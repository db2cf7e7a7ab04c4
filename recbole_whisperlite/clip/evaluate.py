"""Measure search against a ground truth: recall, MRR, MAP and nDCG, each with chance.

The ground truth is a JSON file {query: {id: relevance}}, as in Marqo's benchmark. With
--caption_column it is made from captions: each caption is a query, and all products
with that caption are relevant.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_whisperlite.clip import arguments, metrics, output
from recbole_whisperlite.clip.index import picture_vectors
from recbole_whisperlite.clip.sources import join_labels, warn_missing
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole_whisperlite.clip.sources import Catalogue
    from recbole_whisperlite.encoder.clip import Clip

_TEXT_TO_IMAGE = ("recall@1", "recall@5", "recall@10", "MRR", "MAP", "nDCG@10")
_IMAGE_TO_TEXT = ("recall@1", "recall@5", "recall@10", "MRR")
_CATEGORY = ("precision@1", "precision@10", "MRR")
# Queries scored at once against all pictures, and vice versa.
_BLOCK = 256


def evaluate(
    clip: Clip,
    catalogue: Catalogue,
    truth: dict[str, dict[str, float]],
    labels: list[str] | None = None,
    batch_size: int = 64,
    workers: int = 0,
) -> dict:
    """Measure an encoder's search among the pictures of a catalogue.

    Pictures that are missing or broken, ids of the truth that are not in the catalogue,
    and queries without any relevant picture left are skipped and counted.

    Args:
        clip (Clip): The encoder.
        catalogue (Catalogue): The candidates.
        truth (dict): ``{query: {id: relevance}}``; a relevance of 0 is irrelevant.
        labels (list of str, optional): The category of each product, ``""`` for none.
            Each category's name is also a query, for which all its products are
            relevant.
        batch_size (int): Pictures encoded at once.
        workers (int): Processes that decode pictures.

    Returns:
        dict: ``text_to_image``; ``image_to_text`` (each picture that is relevant to a
        query, with the queries as candidates); with labels, ``category``; each is
        ``{metric: {"value", "chance"}}``. And ``counts`` of pictures, queries and ids.

    Raises:
        UserError: If nothing is left to measure.
    """
    queries = list(truth)
    arguments.check_texts(queries, "query")
    wanted = [id_ for query in queries for id_, gain in truth[query].items() if gain]
    if not set(wanted) & set(catalogue.ids):
        raise _nothing_relevant(catalogue, wanted)  # before the pictures are encoded
    vectors, present = picture_vectors(clip, catalogue, batch_size, workers)
    row_of = {}
    for row, id_ in enumerate(catalogue.ids):
        if present[row]:
            row_of[id_] = len(row_of)
    vectors = vectors[present]
    relevant = [
        {
            row_of[id_]: gain
            for id_, gain in truth[query].items()
            if id_ in row_of and gain
        }
        for query in queries
    ]
    absent = [id_ for id_ in dict.fromkeys(wanted) if id_ not in row_of]
    warn_missing("ground truth", absent, f"the pictures of {catalogue.path}")
    kept = [number for number, found in enumerate(relevant) if found]
    if not kept:
        raise _nothing_relevant(catalogue, wanted)
    queries = [queries[number] for number in kept]
    relevant = [relevant[number] for number in kept]
    names = clip.encode_texts(queries)
    result = {
        "text_to_image": _measure(names, vectors, relevant, _TEXT_TO_IMAGE),
        "image_to_text": _image_to_text(vectors, names, relevant),
    }
    if labels:
        kept_labels = [label for label, here in zip(labels, present) if here]
        result["category"] = _categories(clip, vectors, kept_labels)
    result["counts"] = {
        "pictures": len(vectors),
        "pictures_left_out": len(catalogue) - len(vectors),
        "queries": len(queries),
        "queries_left_out": len(truth) - len(queries),
        "ids_left_out": len(absent),
    }
    return result


def _nothing_relevant(catalogue, wanted):
    example = f"look like '{wanted[0]}'" if wanted else "are missing"
    return UserError(
        f"No query of the ground truth has a relevant picture in {catalogue.path} that "
        f"can be read: the ids there look like '{catalogue.ids[0]}', those of the "
        f"relevant pictures {example}. Use the same ids for the pictures and the ground "
        "truth."
    )


def _measure(queries, candidates, relevant, names):
    """Average over queries; scores are computed block by block to save memory."""
    total = dict.fromkeys(names, None)
    for start in range(0, len(queries), _BLOCK):
        some = slice(start, start + _BLOCK)
        scores = queries[some] @ candidates.T
        found = metrics.over_queries(scores, relevant[some])
        share = len(scores) / len(queries)
        for name in names:
            total[name] = total[name] or {"value": 0.0, "chance": 0.0}
            for key in total[name]:
                total[name][key] += share * found[name][key]
    return total


def _image_to_text(vectors, names, relevant):
    """Rank the queries for each picture that is relevant to at least one of them."""
    queries_of = {}
    for query, gains in enumerate(relevant):
        for picture, gain in gains.items():
            queries_of.setdefault(picture, {})[query] = gain
    pictures = list(queries_of)
    return _measure(vectors[pictures], names, list(queries_of.values()), _IMAGE_TO_TEXT)


def _categories(clip, vectors, labels):
    """Each category's name is a query for which its products are relevant."""
    members = {}
    for row, label in enumerate(labels):
        if label:
            members.setdefault(label, {})[row] = 1
    if not members:
        raise UserError("None of the pictures has a category.")
    names = clip.encode_texts(list(members))
    return _measure(names, vectors, list(members.values()), _CATEGORY)


def read_ground_truth(path: str | Path) -> dict[str, dict[str, float]]:
    """Read ``{query: {id: relevance}}`` from a JSON file.

    Raises:
        UserError: If it cannot be read, has another form, or is empty.
    """
    try:
        truth = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"{path}: this cannot be read. {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"{path}: this is not valid JSON. {error}") from None
    if not isinstance(truth, dict) or not truth:
        raise UserError(
            f'{path}: a ground truth is {{"query": {{"id": relevance, …}}, …}} with at '
            "least one query."
        )
    for query, gains in truth.items():
        if not isinstance(gains, dict) or not all(map(_is_gain, gains.values())):
            raise UserError(
                f"{path}: the query '{query}' has {json.dumps(gains)[:80]}; it must be "
                '{"id": relevance, …} with numbers from 0 to 1e9.'
            )
    return truth


def _is_gain(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 <= value <= 1e9


def truth_of_captions(
    catalogue: Catalogue, columns: list[str]
) -> dict[str, dict[str, int]]:
    """Return ``{caption: {id: 1}}`` for all products that have a caption.

    Args:
        catalogue (Catalogue): The products.
        columns (list of str): Columns joined into the caption.

    Raises:
        UserError: If a column does not exist, or no product has a caption.
    """
    truth = {}
    for id_, caption in zip(catalogue.ids, catalogue.texts(columns)):
        if caption:
            truth.setdefault(caption, {})[id_] = 1
    if not truth:
        raise UserError(f"{catalogue.path}: the column '{columns[0]}' is empty.")
    if sum(map(len, truth.values())) < len(catalogue):
        logging.getLogger().warning(
            f"{catalogue.path}: {len(catalogue) - sum(map(len, truth.values())):,} of "
            f"{len(catalogue):,} products have no caption."
        )
    return truth


def main(argv: list[str]) -> int:
    """Run ``recbole-whisperlite clip evaluate``; return the exit status.

    Raises:
        UserError: If an option, the pictures or the ground truth cannot be used.
    """
    parser = arguments.make_parser("evaluate", __doc__)
    arguments.add_data(parser)
    group = parser.add_argument_group("truth")
    group.add_argument("--ground_truth", metavar="FILE", help="JSON file, see above")
    group.add_argument(
        "--caption_column", nargs="+", help="instead: columns joined into captions"
    )
    group.add_argument(
        "--label_column", help="column of categories, to be measured as queries as well"
    )
    group.add_argument("--labels", metavar="FILE", help="csv file with that column")
    parser.add_argument("--output", metavar="FILE", help="JSON file for all figures")
    args = parser.parse_args(argv)
    if bool(args.ground_truth) == bool(args.caption_column):
        raise UserError(
            "Give the ground truth: either --ground_truth (JSON) or --caption_column."
        )
    if args.labels and not args.label_column:
        raise UserError("--labels needs --label_column, its column of categories.")
    arguments.check_data(args)
    read = [*arguments.files_read(args), args.ground_truth, args.labels]
    output.check_writable(args.output, read=read)
    catalogue = arguments.load_catalogue(args)
    if args.ground_truth:
        truth = read_ground_truth(args.ground_truth)
    else:
        truth = truth_of_captions(catalogue, args.caption_column)
    labels = None
    if args.label_column:
        labels = (
            join_labels(catalogue, args.labels, args.label_column)
            if args.labels
            else catalogue.column(args.label_column)
        )
    clip = arguments.load_encoder(args)
    result = evaluate(clip, catalogue, truth, labels, args.batch_size, args.workers)
    _report(result)
    if args.output:
        about = {
            "encoder": clip.name,
            "fingerprint": clip.fingerprint(),
            "images": catalogue.path,
            "ground_truth": args.ground_truth or {"captions": args.caption_column},
        }
        output.write_json(args.output, {**about, **result})
    return 0


def _report(result):
    for name, count in result["counts"].items():
        print(f"{name.replace('_', ' ')}: {count:,}")
    rows = [
        (part.replace("_", " "), name, f"{f['value']:.4f}", f"{f['chance']:.4f}")
        for part, figures in result.items()
        if part != "counts"
        for name, f in figures.items()
    ]
    output.print_table(["", "metric", "value", "chance"], rows)
