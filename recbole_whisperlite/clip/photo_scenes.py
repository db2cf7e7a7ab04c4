"""Scenes of the pointing game made of real photos, pasted at known places.

Each scene is a canvas with several product photos, none over another. A garment's box is
that of its photo without the plain ground around it: known by construction, not judged.
"""

import logging

import numpy as np
from PIL import Image

from recbole_whisperlite.clip.plain_ground import plain_ground, visible_box
from recbole_whisperlite.clip.pointing import Scene
from recbole_whisperlite.clip.sources import Catalogue
from recbole_whisperlite.data.texts import Template
from recbole_whisperlite.encoder.pictures import PictureError, read_picture, some
from recbole_whisperlite.errors import UserError

#: The canvas is white; or coloured, with the photos on it as cards, their own ground
#: included; or coloured, with the garments cut out of their photos.
GROUNDS = ("white", "cards", "coloured")

_SIDES = (180, 260)  # pixels, of a canvas
_LONGEST = (64, 104)  # pixels, of a photo
_GARMENTS = (2, 4)
_DARKEST = 40
_TRIES = 100  # to find a free place


def photo_scenes(
    catalogue: Catalogue,
    phrase: str,
    n: int,
    seed: int = 2020,
    ground: str = "white",
    kinds: list[str] | None = None,
) -> list[Scene]:
    """Paste photos of a catalogue on ``n`` canvases, and ask for each garment of them.

    A canvas has a random size and, unless it is white, a random colour; it shows two to
    four garments of different kinds, in random sizes at random places.

    Args:
        catalogue (Catalogue): Products with pictures and columns. Pictures that cannot
            be read, or that show nothing but plain ground, are passed over and counted
            in a warning.
        phrase (str): A template with columns in braces, which makes the phrase that
            names a product, ``"{baseColour:lower} {articleType:lower}"``. Products for
            which it is empty are left out.
        n (int): How many canvases.
        seed (int): Seed of everything random.
        ground (str): One of :data:`GROUNDS`.
        kinds (list of str, optional): The kind of each product. Garments of one canvas
            differ in it, and in their phrases; by default only the phrases differ.

    Returns:
        list of Scene: One for each garment: two to four times ``n``.

    Raises:
        UserError: If the template does not fit the catalogue, ``ground`` does not exist,
            or there are too few products of different kinds with a readable picture.
    """
    if ground not in GROUNDS:
        raise UserError(
            f"ground: '{ground}' is not accepted. Accepted: {', '.join(GROUNDS)}."
        )
    products = _Products(catalogue, phrase, kinds)
    rng = np.random.default_rng([seed, GROUNDS.index(ground)])
    scenes = []
    for _ in range(n):
        found = None
        while found is None:
            found = _scene(products.draw(rng), ground, rng)
        scenes += found
    products.warn()
    return scenes


class _Products:
    """Photos to draw from, each with its phrase and its kind."""

    def __init__(self, catalogue, phrase, kinds):
        template = Template(phrase, catalogue.table.columns, catalogue.path, "phrase")
        records = catalogue.table.to_dict("records")
        self.path, self.pictures = catalogue.path, catalogue.pictures
        self.phrases = [template.compose(record) for record in records]
        self.kinds = kinds or self.phrases
        self.rows = [
            row
            for row in range(len(catalogue))
            if self.pictures[row] and self.phrases[row] and self.kinds[row]
        ]
        self.problems = []

    def draw(self, rng):
        """Return (photo, phrase) of two to four products that differ in both."""
        count, chosen = rng.integers(_GARMENTS[0], _GARMENTS[1] + 1), {}
        for row in rng.permutation(self.rows).tolist():
            if all(self._differ(row, other) for other in chosen):
                photo = self._photo(row)
                if photo is not None:
                    chosen[row] = photo
            if len(chosen) == count:
                break
        if len(chosen) < _GARMENTS[0]:
            raise UserError(
                f"{self.path}: {len(self.rows):,} products have a phrase and a picture "
                "that can be read, but no two of them differ in kind and phrase: there "
                f"is nothing to ask. {some(self.problems)}".rstrip()
            )
        return [(photo, self.phrases[row]) for row, photo in chosen.items()]

    def _photo(self, row):
        """Return a photo; None, and it is passed over from now on, if it is of no use."""
        try:
            photo = read_picture(self.pictures[row])
            if visible_box(photo) is not None:
                return photo
            self.problems.append(f"{self.pictures[row]}: it is of one colour.")
        except PictureError as error:
            self.problems.append(str(error))
        self.rows.remove(row)
        return None

    def _differ(self, row, other):
        return (
            self.kinds[row] != self.kinds[other]
            and self.phrases[row] != self.phrases[other]
        )

    def warn(self):
        """Log how many pictures were passed over, and why."""
        if self.problems:
            logging.getLogger().warning(
                f"{self.path}: {len(self.problems):,} pictures are passed over: "
                f"{some(self.problems)}"
            )


def _scene(garments, ground, rng):
    """Return the scenes of one canvas, or None if its garments found no place."""
    size = tuple(int(side) for side in rng.integers(_SIDES[0], _SIDES[1] + 1, 2))
    colour = tuple(int(level) for level in rng.integers(_DARKEST, 256, 3))
    canvas = Image.new("RGB", size, "white" if ground == "white" else colour)
    taken, boxes = [], []
    for photo, _ in garments:
        photo = _scaled(photo, rng.integers(_LONGEST[0], _LONGEST[1] + 1))
        place = _free_place(photo.size, size, taken, rng)
        if place is None:
            return None
        taken.append(place)
        x, y = place[:2]
        mask = Image.fromarray(~plain_ground(photo)) if ground == "coloured" else None
        canvas.paste(photo, (x, y), mask)
        left, top, right, bottom = visible_box(photo) or (0, 0, *photo.size)
        boxes.append((x + left, y + top, x + right, y + bottom))
    return [
        Scene(canvas, phrase, box, boxes[:number] + boxes[number + 1 :])
        for number, ((_, phrase), box) in enumerate(zip(garments, boxes))
    ]


def _scaled(photo, longest):
    factor = longest / max(photo.size)
    size = [max(1, round(side * factor)) for side in photo.size]
    return photo.resize(size, Image.Resampling.LANCZOS)


def _free_place(size, canvas, taken, rng):
    """Return a random box of that size that overlaps none of ``taken``, or None."""
    for _ in range(_TRIES):
        x, y = (int(rng.integers(c - s + 1)) for c, s in zip(canvas, size))
        box = (x, y, x + size[0], y + size[1])
        if not any(
            box[0] < other[2]
            and other[0] < box[2]
            and box[1] < other[3]
            and other[1] < box[3]
            for other in taken
        ):
            return box
    return None
