"""Label pictures given only the names of classes (zero-shot), with scores.

Scores are probabilities: the softmax, at the model's own temperature, over the cosines
of unit vectors. With true labels, accuracy and weighted F1 are reported, with chance for
comparison.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from sklearn.metrics import accuracy_score, f1_score
from scipy.special import expit, softmax

from recbole_whisperlite.clip import arguments, output
from recbole_whisperlite.clip.index import picture_vectors
from recbole_whisperlite.clip.sources import join_labels, read_lines
from recbole_whisperlite.encoder.base import unit_rows
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole_whisperlite.encoder.clip import Clip

#: A class's vector is the mean over these sentences with its name filled in.
TEMPLATES = ("{}", "a photo of a {}", "a product photo of a {}")
SCORES = ("softmax", "sigmoid")


@dataclass
class Labelled:
    """Class probabilities of pictures.

    Attributes:
        classes (list of str): In the order of the columns.
        scores (numpy.ndarray): float32 ``[n, n_classes]``; zero rows where the picture
            could not be read.
        present (numpy.ndarray): bool ``[n]``, whether the picture could be read.
    """

    classes: list[str]
    scores: np.ndarray
    present: np.ndarray

    def best(self, k: int = 1) -> np.ndarray:
        """Return the ``k`` likeliest classes, int64 ``[n, k]``, the likeliest first."""
        return np.argsort(-self.scores, axis=1, kind="stable")[:, :k]


def classify(
    clip: Clip,
    pictures: list[str | Path | Image.Image],
    classes: list[str],
    templates: Sequence[str] = TEMPLATES,
    scores: str = "softmax",
    **encoding: int,
) -> Labelled:
    """Label each picture with one of the classes.

    Args:
        clip (Clip): The encoder.
        pictures (list): Paths, ``file.zip::member`` or PIL images. Broken ones get no
            scores, and a warning names them.
        classes (list of str): Their names, distinct.
        templates (sequence of str): Sentences with ``{}`` where the name goes.
        scores (str): As in :func:`probabilities`.
        encoding (int): ``batch_size`` and ``workers`` of :meth:`Clip.encode_pictures`.

    Returns:
        Labelled: One row per picture.

    Raises:
        UserError: If there is no class, a class is given twice, a template has no
            ``{}``, or ``scores`` does not suit the model.
    """
    names = class_vectors(clip, classes, templates)
    check_scores(clip, scores)
    vectors, present = clip.encode_pictures(pictures, missing="skip", **encoding)
    return label(clip, vectors, present, classes, names, scores)


def label(
    clip: Clip,
    vectors: np.ndarray,
    present: np.ndarray,
    classes: list[str],
    names: np.ndarray,
    scores: str = "softmax",
) -> Labelled:
    """Do as :func:`classify`, given the vectors of pictures and classes.

    Args:
        clip (Clip): For its temperature and bias.
        vectors (numpy.ndarray): Pictures, float32 ``[n, dim]``, rows of length 1.
        present (numpy.ndarray): bool ``[n]``, whether the picture could be read.
        classes (list of str): Their names.
        names (numpy.ndarray): From :func:`class_vectors`.
        scores (str): As in :func:`probabilities`.
    """
    result = probabilities(clip, vectors, names, scores)
    result[~present] = 0
    return Labelled(list(classes), result, present)


def class_vectors(
    clip: Clip, classes: list[str], templates: Sequence[str] = TEMPLATES
) -> np.ndarray:
    """Return the classes' vectors: the mean over the templates, scaled to length 1.

    Args:
        clip (Clip): The encoder.
        classes (list of str): Their names, distinct.
        templates (sequence of str): Sentences with ``{}`` where the name goes.

    Returns:
        numpy.ndarray: float32 ``[n_classes, dim]``.

    Raises:
        UserError: If there is no class, a class is given twice, or a template has no
            ``{}``.
    """
    arguments.check_texts(classes, "class")
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise UserError(f"The class '{twice[0]}' is given twice.")
    arguments.check_texts(templates, "template")
    for template in templates:
        if "{}" not in template:
            raise UserError(
                f"template '{template}': it has no {{}}, which marks where the name of "
                "the class goes."
            )
    texts = [template.replace("{}", name) for name in classes for template in templates]
    vectors = clip.encode_texts(texts)
    return unit_rows(vectors.reshape(len(classes), len(templates), -1).mean(axis=1))


def probabilities(
    clip: Clip, vectors: np.ndarray, names: np.ndarray, scores: str = "softmax"
) -> np.ndarray:
    """Turn cosines into probabilities as in the model's training.

    ``softmax``: exactly one class is right, and the scores of a picture sum to 1.
    ``sigmoid``, for models trained with SigLIP's loss: each class is right or wrong
    independently, so the scores need not sum to 1, and all may be small. Both give the
    same ranking.

    Args:
        clip (Clip): For its temperature and bias.
        vectors (numpy.ndarray): Pictures, float32 ``[n, dim]``, rows of length 1.
        names (numpy.ndarray): Classes, float32 ``[n_classes, dim]``, rows of length 1.
        scores (str): One of :data:`SCORES`.

    Returns:
        numpy.ndarray: float32 ``[n, n_classes]``.

    Raises:
        UserError: If ``scores`` does not exist or does not suit the model.
    """
    check_scores(clip, scores)
    logits = clip.logit_scale * (vectors @ names.T) + clip.logit_bias
    return expit(logits) if scores == "sigmoid" else softmax(logits, axis=1)


def check_scores(clip: Clip, scores: str) -> None:
    """Raise a UserError unless ``scores`` is accepted and suits the model."""
    if scores not in SCORES:
        raise UserError(
            f"scores: '{scores}' is not accepted. Accepted: {', '.join(SCORES)}."
        )
    if scores == "sigmoid" and not clip.logit_bias:
        raise UserError(
            f"scores: sigmoid needs a model trained with SigLIP's loss, which learns a "
            f"bias; '{clip.name}' has none. Use softmax."
        )


def measure(truth: list[str], guesses: list[str]) -> dict[str, dict[str, float]]:
    """Compare predicted labels with the true ones, and with guessing.

    Args:
        truth (list of str): The true labels.
        guesses (list of str): The predicted labels, in the same order.

    Returns:
        dict: ``accuracy`` and ``weighted_f1``, each ``{"value", "chance"}``; chance is
        the result of always guessing the most common label.
    """
    (most_common, _), *_ = Counter(truth).most_common(1)
    guessers = {"value": guesses, "chance": [most_common] * len(truth)}
    return {
        name: {key: float(metric(truth, guess)) for key, guess in guessers.items()}
        for name, metric in {
            "accuracy": accuracy_score,
            "weighted_f1": lambda a, b: f1_score(
                a, b, average="weighted", zero_division=0
            ),
        }.items()
    }


def main(argv: list[str]) -> int:
    """Run ``recbole-whisperlite clip classify``; return the exit status.

    Raises:
        UserError: If an option, the pictures or the labels cannot be used.
    """
    parser = arguments.make_parser("classify", __doc__)
    arguments.add_data(parser)
    group = parser.add_argument_group("classes")
    group.add_argument("--classes", nargs="+", help="class names")
    group.add_argument("--classes_file", help="text file of class names, one per line")
    group.add_argument(
        "--template",
        nargs="+",
        default=TEMPLATES,
        help="prompts, with {} where the class name goes (default: "
        + ", ".join(f'"{template}"' for template in TEMPLATES)
        + ")",
    )
    group.add_argument(
        "--scores",
        default=SCORES[0],
        choices=SCORES,
        help=f"how cosines become scores (default: {SCORES[0]})",
    )
    group = parser.add_argument_group("truth")
    group.add_argument(
        "--label_column",
        help="column of true labels; also the classes unless --classes is given",
    )
    group.add_argument("--labels", metavar="FILE", help="csv file with that column")
    group.add_argument(
        "--most_frequent",
        type=arguments.positive,
        metavar="N",
        help="keep only the N most frequent labels, and the pictures that have them "
        "(default: all)",
    )
    group = parser.add_argument_group("results")
    group.add_argument(
        "--k",
        type=arguments.positive,
        default=1,
        help="labels per picture, the likeliest first (default: 1)",
    )
    group.add_argument("--output", metavar="FILE", help="table (.csv or .tsv)")
    group.add_argument("--metrics", metavar="FILE", help="accuracy and F1 (.json)")
    args = parser.parse_args(argv)

    if (args.labels or args.most_frequent or args.metrics) and not args.label_column:
        raise UserError(
            "--labels, --most_frequent and --metrics need --label_column: the column of "
            "true labels."
        )
    classes = list(args.classes or [])
    classes += read_lines(args.classes_file) if args.classes_file else []
    if not classes and not args.label_column:
        raise UserError(
            "There is no class: give --classes, --classes_file, or --label_column to "
            "take them from the true labels."
        )
    output.check_table(args.output)
    arguments.check_data(args)
    read = [*arguments.files_read(args), args.classes_file, args.labels]
    output.check_writable(args.output, args.metrics, read=read)
    catalogue = arguments.load_catalogue(args)
    truth = [""] * len(catalogue)
    if args.label_column:
        catalogue, truth = _labelled(catalogue, args)
    classes = classes or sorted(set(truth))
    clip = arguments.load_encoder(args)
    check_scores(clip, args.scores)
    names = class_vectors(clip, classes, args.template)
    vectors, present = picture_vectors(clip, catalogue, args.batch_size, args.workers)
    result = label(clip, vectors, present, classes, names, args.scores)
    _report(catalogue, truth, result, args)
    return 0


def _labelled(catalogue, args):
    """Keep the products that have a label; return them with their labels."""
    truth = (
        join_labels(catalogue, args.labels, args.label_column)
        if args.labels
        else catalogue.column(args.label_column)
    )
    counts = Counter(filter(None, truth))
    if not counts:
        raise UserError(f"{catalogue.path}: the column '{args.label_column}' is empty.")
    kept = {name for name, _ in counts.most_common(args.most_frequent)}
    rows = [row for row, name in enumerate(truth) if name in kept]
    print(
        f"{len(rows):,} of {len(catalogue):,} pictures have one of {len(kept)} labels"
    )
    return catalogue.select(rows), [truth[row] for row in rows]


def _report(catalogue, truth, result, args):
    best = result.best(args.k)
    columns = ["id", "path", "rank", "label", "score"]
    columns += ["truth"] * bool(args.label_column)
    rows = [
        (
            catalogue.ids[row],
            catalogue.pictures[row],
            rank,
            result.classes[name],
            f"{result.scores[row, name]:.4f}",
        )
        + (truth[row],) * bool(args.label_column)
        for row in np.flatnonzero(result.present)
        for rank, name in enumerate(best[row], start=1)
    ]
    if args.output:
        output.write_table(args.output, columns, rows)
    if not args.output or len(rows) <= 20:
        output.print_table(columns, rows)
    if args.label_column:
        rows = np.flatnonzero(result.present)
        figures = measure(
            [truth[row] for row in rows],
            [result.classes[best[row, 0]] for row in rows],
        )
        print(f"{len(rows):,} pictures, {len(result.classes)} classes")
        output.print_table(
            ["", "value", "chance"],
            [
                (n, f"{f['value']:.4f}", f"{f['chance']:.4f}")
                for n, f in figures.items()
            ],
        )
        if args.metrics:
            about = {
                "encoder": args.encoder,
                "pictures": len(rows),
                "classes": len(result.classes),
                "templates": list(args.template),
            }
            output.write_json(args.metrics, {**about, **figures})
