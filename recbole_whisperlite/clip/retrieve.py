"""Find products of a catalogue by a text, a picture, or both together.

Products are represented by their pictures, their texts, or both. The vectors can be
saved (--save_index) and searched again (--index).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from recbole_whisperlite.clip import arguments, contact_sheet, output
from recbole_whisperlite.clip.index import (
    SIDES,
    Index,
    absolute,
    build_index,
    load_index,
)
from recbole_whisperlite.clip.sources import read_lines
from recbole_whisperlite.encoder.base import unit_rows
from recbole_whisperlite.encoder.pictures import IN_ARCHIVE, read_picture
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole_whisperlite.encoder.clip import Clip


@dataclass
class Hits:
    """The products found for each query, the best first.

    Attributes:
        queries (list of tuple): ``(text, picture)`` of each query, None for a part that
            it lacks.
        rows (numpy.ndarray): Rows of the index, int64 ``[n_queries, k]``.
        scores (numpy.ndarray): Cosines, float32 ``[n_queries, k]``.
    """

    queries: list[tuple[str | None, str | Path | Image.Image | None]]
    rows: np.ndarray
    scores: np.ndarray


def retrieve(
    clip: Clip,
    index: Index,
    texts: list[str] | None = None,
    pictures: list[str | Path | Image.Image] | None = None,
    k: int = 10,
    text_weight: float = 0.5,
    keep_query: bool = False,
) -> Hits:
    """Search an index by texts, by pictures, or by pairs of both.

    Args:
        clip (Clip): The encoder that the index was built with.
        index (Index): From :func:`build_index` or :func:`load_index`.
        texts (list of str, optional): One per query.
        pictures (list, optional): One per query: paths, ``file.zip::member`` or PIL
            images. With texts, each query is a picture modified by a text; a single text
            or picture is combined with all of the others.
        k (int): Products per query.
        text_weight (float): With both, the query is ``text_weight`` times the text's
            unit vector plus ``1 - text_weight`` times the picture's. Pictures resemble
            pictures more than texts do, so in an index of pictures a text may need more
            than 0.5.
        keep_query (bool): Whether products are found whose picture is the query's own
            file, which resembles nothing as much as itself.

    Returns:
        Hits: With k products per query, or all if there are fewer besides the queries.

    Raises:
        UserError: If there is no query, a text is empty, a picture cannot be read,
            their numbers do not fit together, or there is no product besides a query's
            own picture.
    """
    if k < 1:
        raise UserError(f"k: at least 1 product is needed, not {k}.")
    texts, pictures = list(texts or []), list(pictures or [])
    _check_queries(texts, pictures, text_weight)
    vectors = 0
    if texts:
        vectors = (text_weight if pictures else 1) * clip.encode_texts(texts)
    if pictures:
        # If one side has a single vector, numpy broadcasts it.
        of_pictures, _ = clip.encode_pictures(pictures, missing="error")
        vectors = vectors + (1 - text_weight if texts else 1) * of_pictures
    count = len(vectors)
    queries = list(zip(_repeat(texts, count), _repeat(pictures, count)))
    own = [set()] * count if keep_query else _own_rows(index, queries)
    most = max(map(len, own))
    if most == len(index):
        raise UserError(
            "There is no product besides those with the picture of the query. To find "
            "them, too, use --keep_query."
        )
    rows, scores = index.search(unit_rows(vectors), k + most)
    if most:
        rows, scores = _without(own, rows, scores, min(k, len(index) - most))
    return Hits(queries, rows, scores)


def _own_rows(index, queries):
    """Return, for each query, the rows of the index whose picture is the same file."""
    paths = [
        absolute(str(picture)) if isinstance(picture, (str, Path)) else None
        for _, picture in queries
    ]
    rows = {path: set() for path in paths}
    for row, name in enumerate(index.pictures):
        if name in rows:
            rows[name].add(row)
    return [rows[path] for path in paths]


def _without(own, rows, scores, k):
    """Return the first k columns of rows and scores, each without its query's own."""
    kept = np.array(
        [
            [column for column, row in enumerate(found) if row not in left_out][:k]
            for found, left_out in zip(rows.tolist(), own)
        ]
    )
    return np.take_along_axis(rows, kept, 1), np.take_along_axis(scores, kept, 1)


def _check_queries(texts, pictures, text_weight):
    if texts or not pictures:
        arguments.check_texts(texts, "query")
    if not 0 <= text_weight <= 1:
        raise UserError(f"text_weight: {text_weight} is not between 0 and 1.")
    if texts and pictures and len(texts) != len(pictures):
        if 1 not in (len(texts), len(pictures)):
            raise UserError(
                f"There are {len(texts)} texts and {len(pictures)} pictures. Give the "
                "same number of each, or a single one to combine with all the others."
            )


def _repeat(values, count):
    values = values or [None]
    return values * count if len(values) == 1 else values


def name_of(query: tuple[str | None, str | Path | Image.Image | None]) -> str:
    """Return a title for a query ``(text, picture)`` of :class:`Hits`."""
    text, picture = query
    if picture is not None and not isinstance(picture, (str, Path)):
        picture = "picture"
    return " + ".join(str(part) for part in (picture, text) if part is not None)


def main(argv: list[str]) -> int:
    """Run ``recbole-whisperlite clip retrieve``; return the exit status.

    Raises:
        UserError: If an option, the catalogue or the index cannot be used.
    """
    parser = arguments.make_parser("retrieve", __doc__)
    group = arguments.add_data(parser)
    group.add_argument("--index", metavar="FILE", help="search this saved index")
    group.add_argument(
        "--of", choices=SIDES, help="what to encode of each product (default: pictures)"
    )
    group.add_argument(
        "--text_columns", nargs="+", help="columns joined into the text (default: all)"
    )
    group.add_argument("--save_index", metavar="FILE", help="write the index (.npz)")
    group.add_argument(
        "--ann", action="store_true", help="approximate search (needs usearch)"
    )
    group = parser.add_argument_group("query")
    group.add_argument("--text", nargs="+", default=[], help="one query each")
    group.add_argument("--texts_file", help="text file of queries, one per line")
    group.add_argument("--picture", nargs="+", default=[], help="one query each")
    group.add_argument(
        "--text_weight",
        type=float,
        default=0.5,
        help="weight of the text where a query has both, 0 to 1 (default: 0.5)",
    )
    group.add_argument(
        "--k",
        type=arguments.positive,
        default=10,
        help="products per query, the best first (default: 10)",
    )
    group.add_argument(
        "--keep_query",
        action="store_true",
        help="also find the query's own picture, which is left out by default",
    )
    group = parser.add_argument_group("results")
    group.add_argument("--output", metavar="FILE", help="table (.csv or .tsv)")
    group.add_argument("--sheet", metavar="FILE", help="contact sheet (.html or .png)")
    args = parser.parse_args(argv)

    if bool(args.data) == bool(args.index):
        raise UserError(
            "Say what to search: either --data (pictures, a dataset, csv) or "
            "--index (a saved index)."
        )
    if args.index:
        _refuse_with_index(args)
    texts = args.text + (read_lines(args.texts_file) if args.texts_file else [])
    has_query = bool(texts or args.picture)
    if not has_query and not args.save_index:
        raise UserError("There is no query: give --text, --texts_file or --picture.")
    if has_query:
        # Before anything is encoded or written.
        _check_queries(texts, args.picture, args.text_weight)
        for picture in args.picture:
            read_picture(picture)
    if args.sheet:
        contact_sheet.check_name(args.sheet)
    output.check_table(args.output)
    files = [picture.partition(IN_ARCHIVE)[0] for picture in args.picture]
    output.check_writable(
        args.output,
        args.sheet,
        args.save_index,
        read=[*files, *arguments.files_read(args), args.texts_file],
    )
    if args.index:
        clip = arguments.load_encoder(args)
        index = load_index(args.index, clip, args.ann)
    else:
        catalogue = arguments.load_catalogue(args)
        clip = arguments.load_encoder(args)
        index = build_index(
            clip,
            catalogue,
            args.of or "pictures",
            args.text_columns,
            args.batch_size,
            args.workers,
            args.ann,
        )
    if args.save_index:
        index.save(args.save_index)
        print(f"index of {len(index):,} products: {args.save_index}")
    if has_query:
        hits = retrieve(
            clip,
            index,
            texts,
            args.picture,
            args.k,
            args.text_weight,
            args.keep_query,
        )
        _report(index, hits, args)
    return 0


def _refuse_with_index(args):
    """Refuse options that choose what is encoded: a saved index would ignore them."""
    names = ("ids", "id_column", "picture_column", "text_columns")
    given = [name for name in names if getattr(args, name)]
    given += ["of"] * (args.of is not None)
    if given:
        raise UserError(
            f"--{given[0]} chooses what is encoded, but {args.index} is already encoded. "
            "Use it with --data and --save_index to build another index."
        )


def _report(index, hits, args):
    columns = ["query", "rank", "id", "score", "text"]
    rows = [
        (name_of(query), rank, index.ids[row], f"{score:.4f}", index.texts[row])
        for query, found, scores in zip(hits.queries, hits.rows, hits.scores)
        for rank, (row, score) in enumerate(zip(found, scores), start=1)
    ]
    output.print_table(columns, rows)
    if args.output:
        output.write_table(args.output, columns, rows)
    if args.sheet:
        contact_sheet.write(args.sheet, strips(index, hits))


def strips(index: Index, hits: Hits) -> list[contact_sheet.Strip]:
    """Return the hits as strips of a contact sheet, one per query."""
    return [
        contact_sheet.Strip(
            name_of(query),
            query[1],
            [
                contact_sheet.Tile(
                    index.pictures[row], index.ids[row], score, index.texts[row]
                )
                for row, score in zip(found, scores)
            ],
        )
        for query, found, scores in zip(hits.queries, hits.rows, hits.scores)
    ]
