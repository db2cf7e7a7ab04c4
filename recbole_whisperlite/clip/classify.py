"""Label pictures by the names of classes alone (zero-shot), with scores.

Scores are probabilities: the softmax, at the model's own temperature, over the cosines
of unit vectors. With labels, accuracy and weighted F1 are told beside chance.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from scipy.special import expit, softmax

from recbole_whisperlite.clip import arguments, output
from recbole_whisperlite.clip.index import picture_vectors
from recbole_whisperlite.clip.sources import join_labels, read_lines
from recbole_whisperlite.encoder.base import unit_rows
from recbole_whisperlite.errors import UserError

#: A class's vector is the mean of its vectors in these sentences.
TEMPLATES = ("{}", "a photo of a {}", "a product photo of a {}")
SCORES = ("softmax", "sigmoid")


@dataclass
class Labelled:
    """Probabilities of classes.

    Attributes:
        classes (list of str): In the order of the columns.
        scores (numpy.ndarray): float32 ``[n, n_classes]``; zero rows where there is no
            picture.
        present (numpy.ndarray): bool ``[n]``, whether there was a picture to label.
    """

    classes: list
    scores: np.ndarray
    present: np.ndarray

    def best(self, k=1):
        """Return the ``k`` likeliest classes, int64 ``[n, k]``, the likeliest first."""
        return np.argsort(-self.scores, axis=1, kind="stable")[:, :k]


def classify(
    clip, pictures, classes, templates=TEMPLATES, scores="softmax", **encoding
):
    """Label pictures with one of the classes each.

    Args:
        clip (Clip): The encoder.
        pictures (list): Paths, ``file.zip::member`` or PIL images. Of broken ones a
            warning tells; they get no scores.
        classes (list of str): Their names, distinct.
        templates (sequence of str): Sentences with ``{}`` in place of the name.
        scores (str): As in :func:`probabilities`.
        encoding: ``batch_size`` and ``workers`` of :meth:`Clip.encode_pictures`.

    Returns:
        Labelled: One row a picture.

    Raises:
        UserError: If there is no class or one stands there twice, a template has no
            ``{}``, or ``scores`` does not suit the model.
    """
    names = class_vectors(clip, classes, templates)
    check_scores(clip, scores)
    vectors, present = clip.encode_pictures(pictures, missing="skip", **encoding)
    return label(clip, vectors, present, classes, names, scores)


def label(clip, vectors, present, classes, names, scores="softmax"):
    """As :func:`classify`, given the pictures' and the classes' vectors."""
    result = probabilities(clip, vectors, names, scores)
    result[~present] = 0
    return Labelled(list(classes), result, present)


def class_vectors(clip, classes, templates=TEMPLATES):
    """Return the classes' vectors: each the mean over the templates, of length 1 again.

    Args:
        clip (Clip): The encoder.
        classes (list of str): Their names, distinct.
        templates (sequence of str): Sentences with ``{}`` in place of the name.

    Returns:
        numpy.ndarray: float32 ``[n_classes, dim]``.
    """
    arguments.check_texts(classes, "class")
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise UserError(f"The class '{twice[0]}' is named twice.")
    arguments.check_texts(templates, "template")
    for template in templates:
        if "{}" not in template:
            raise UserError(
                f"template '{template}': there is no {{}} in it, in whose place the "
                "name of the class is put."
            )
    texts = [template.replace("{}", name) for name in classes for template in templates]
    vectors = clip.encode_texts(texts)
    return unit_rows(vectors.reshape(len(classes), len(templates), -1).mean(axis=1))


def probabilities(clip, vectors, names, scores="softmax"):
    """Turn cosines into probabilities as the model was trained to.

    ``softmax``: of the classes just one is right, the scores of a picture sum to 1.
    ``sigmoid``, for models trained by SigLIP's loss: each class is right or wrong by
    itself, the scores need not sum to 1, and all may be small. Both rank the same.

    Args:
        clip (Clip): For its temperature and bias.
        vectors (numpy.ndarray): Pictures, float32 ``[n, dim]``, rows of length 1.
        names (numpy.ndarray): Classes, float32 ``[n_classes, dim]``, rows of length 1.
        scores (str): One of :data:`SCORES`.

    Returns:
        numpy.ndarray: float32 ``[n, n_classes]``.
    """
    check_scores(clip, scores)
    logits = clip.logit_scale * (vectors @ names.T) + clip.logit_bias
    return expit(logits) if scores == "sigmoid" else softmax(logits, axis=1)


def check_scores(clip, scores):
    """Raise a UserError unless ``scores`` is accepted and suits the model."""
    if scores not in SCORES:
        raise UserError(
            f"scores: '{scores}' is not accepted. Accepted are {', '.join(SCORES)}."
        )
    if scores == "sigmoid" and not clip.logit_bias:
        raise UserError(
            f"scores: sigmoid needs a model trained by SigLIP's loss, which learns a "
            f"bias; '{clip.name}' has none. Use softmax."
        )


def measure(truth, guesses):
    """Compare labels with the truth, and with what guessing would get.

    Args:
        truth (list of str): The true labels.
        guesses (list of str): The labels given, in the same order.

    Returns:
        dict: ``accuracy`` and ``weighted_f1``, each ``{"value", "chance"}``; chance is
        what always guessing the commonest label would get.
    """
    (commonest, _), *_ = Counter(truth).most_common(1)
    guessers = {"value": guesses, "chance": [commonest] * len(truth)}
    return {
        name: {key: float(metric(truth, guess)) for key, guess in guessers.items()}
        for name, metric in {
            "accuracy": accuracy_score,
            "weighted_f1": lambda a, b: f1_score(
                a, b, average="weighted", zero_division=0
            ),
        }.items()
    }


def main(argv):
    """Run ``clip classify``; return the exit status."""
    parser = arguments.make_parser("classify", __doc__)
    arguments.add_catalogue(parser, "--pictures", "--images", "--catalogue")
    group = parser.add_argument_group("classes")
    group.add_argument("--classes", nargs="+", help="their names")
    group.add_argument("--classes_file", help="their names, one a line")
    group.add_argument("--template", nargs="+", default=TEMPLATES, help="prompts")
    group.add_argument(
        "--scores", default="softmax", choices=SCORES, help="how cosines become scores"
    )
    group = parser.add_argument_group("truth")
    group.add_argument(
        "--label_column", help="column of true labels; without --classes they are them"
    )
    group.add_argument("--labels", metavar="FILE", help="csv that has the column")
    group.add_argument(
        "--most_frequent",
        type=arguments.positive,
        metavar="N",
        help="only the N most frequent labels, and pictures that have them",
    )
    group = parser.add_argument_group("results")
    group.add_argument("--k", type=arguments.positive, default=1, help="labels each")
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
    read = [args.catalogue, args.ids, args.classes_file, args.labels]
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
    """Keep what has a label; return it with the labels."""
    truth = (
        join_labels(catalogue, args.labels, args.label_column)
        if args.labels
        else catalogue.column(args.label_column)
    )
    counts = Counter(filter(None, truth))
    if not counts:
        raise UserError(
            f"{catalogue.path}: the column '{args.label_column}' is empty throughout."
        )
    kept = {name for name, _ in counts.most_common(args.most_frequent)}
    rows = [row for row, name in enumerate(truth) if name in kept]
    print(
        f"{len(rows):,} of {len(catalogue):,} pictures have one of {len(kept)} labels"
    )
    return catalogue.select(rows), [truth[row] for row in rows]


def _report(catalogue, truth, result, args):
    best = result.best(args.k)
    columns = ["id", "rank", "label", "score"] + ["truth"] * bool(args.label_column)
    rows = [
        (
            catalogue.ids[row],
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
