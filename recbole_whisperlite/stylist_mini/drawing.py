"""A product's picture: the garment's silhouette in its shade and pattern, 96 x 96.

Shapes have coordinates on a 96 x 96 grid (x to the right, y down), are drawn four times
as large and scaled down, which smooths their edges. Sleeve, neckline, fit, length and
heel change the shape, so that what a description leaves out can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from recbole_whisperlite.stylist_mini import vocabulary as words

Point = tuple[float, float]
RGB = tuple[int, int, int]

SIZE = 96
SCALE = 4
BACKGROUND = (222, 228, 234)
CENTRE = SIZE / 2

#: Factors by which groups are enlarged: a top fills the picture as a long dress does.
ZOOM = {"tops": 1.15}

FIT_WIDTH = {"tight": 0.84, "regular": 1.0, "loose": 1.2, "": 1.0}


def draw(product: dict[str, str]) -> Image.Image:
    """Draw one product.

    Args:
        product (dict): As made by :func:`catalogue.make_products`.

    Returns:
        PIL.Image.Image: RGB, 96 x 96. For a plain product, the most frequent colour
        other than the background is exactly its shade's RGB.
    """
    rgb = words.SHADES[product["colour"]][product["shade"]]
    sketch = Sketch(rgb, product["pattern"], ZOOM.get(product["group"], 1.0))
    SHAPES[product["garment"]](sketch, product)
    return sketch.finish()


def shade_of(rgb: RGB, factor: float) -> RGB:
    """Darken (factor < 1) or lighten (factor > 1, towards white) a colour."""
    if factor <= 1:
        return tuple(int(channel * factor) for channel in rgb)
    return tuple(int(255 - (255 - channel) / factor) for channel in rgb)


def brightness(rgb: RGB) -> float:
    """Return the perceived brightness, 0 to 255 (ITU-R BT.601)."""
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]


def mirrored(left_half: list[Point]) -> list[Point]:
    """Close a symmetric outline, given its left half from top to bottom."""
    return left_half + [(SIZE - x, y) for x, y in reversed(left_half)]


def rounded(points: Sequence[Point], times: int = 2) -> list[Point]:
    """Cut the corners of a closed polygon (Chaikin's algorithm)."""
    points = np.asarray(points, dtype=float)
    for _ in range(times):
        following = np.roll(points, -1, axis=0)
        cut = np.stack(
            [0.75 * points + 0.25 * following, 0.25 * points + 0.75 * following]
        )
        points = cut.transpose(1, 0, 2).reshape(-1, 2)
    return [tuple(point) for point in points]


def arc(centre: Point, half_width: float, height: float) -> list[Point]:
    """Return the upper half of an ellipse as 16 points, from left to right."""
    angles = np.linspace(np.pi, 0, 16)
    x, y = centre
    return [(x + half_width * np.cos(a), y - height * np.sin(a)) for a in angles]


class Sketch:
    """Pieces of patterned cloth with one common outline, and lines on top."""

    def __init__(self, rgb: RGB, pattern: str, zoom: float):
        side = SIZE * SCALE
        self.rgb = rgb
        self.cloth = _cloth(rgb, pattern)
        pale = brightness(rgb) > 70
        self.dark = shade_of(rgb, 0.55) if pale else shade_of(rgb, 1.45)
        self.edge = shade_of(rgb, 0.5) if pale else (8, 8, 12)
        self.zoom = zoom
        self.image = Image.new("RGB", (side, side), BACKGROUND)
        self.pen = ImageDraw.Draw(self.image)
        self.pieces = []
        self.marks = []

    def piece(self, points: list[Point], round_corners: int = 0) -> None:
        """Add a polygon of cloth, its corners cut ``round_corners`` times."""
        self.pieces.append(rounded(points, round_corners) if round_corners else points)

    def mark(
        self,
        kind: str,
        points: list[Point],
        colour: RGB | None = None,
        width: float = 0.9,
    ) -> None:
        """Add a ``line``, ``polygon`` or ``ellipse`` over the cloth."""
        self.marks.append((kind, points, colour or self.dark, width))

    def strap(self, points: list[Point], width: float = 3.5) -> None:
        """Draw an outlined band behind the cloth."""
        self._line(points, self.edge, width + 2)
        self._line(points, self.rgb, width)

    def finish(self) -> Image.Image:
        """Put everything on the background and scale it down to 96 x 96."""
        mask = Image.new("L", self.image.size)
        mask_pen = ImageDraw.Draw(mask)
        for points in self.pieces:
            # Outlines first, so that the cloth hides those between two pieces.
            self._line(points + points[:2], self.edge, 2)
            mask_pen.polygon(self._scaled(points), fill=255)
        self.image.paste(self.cloth, mask=mask)
        for kind, points, colour, width in self.marks:
            if kind == "line":
                self._line(points, colour, width)
            else:
                getattr(self.pen, kind)(self._scaled(points), fill=colour)
        return self.image.resize((SIZE, SIZE), Image.Resampling.BOX)

    def _line(self, points, colour, width):
        width = round(width * self.zoom * SCALE)
        self.pen.line(self._scaled(points), fill=colour, width=width, joint="curve")

    def _scaled(self, points):
        factor, shift = self.zoom * SCALE, CENTRE * (1 - self.zoom) * SCALE
        return [(x * factor + shift, y * factor + shift) for x, y in points]


# ---------------------------------------------------------------- cloth


@lru_cache(maxsize=None)
def _cloth(rgb, pattern):
    """Return a whole canvas of cloth."""
    side = SIZE * SCALE
    image = Image.new("RGB", (side, side), rgb)
    pen = ImageDraw.Draw(image)
    ink = shade_of(rgb, 0.45) if brightness(rgb) > 140 else shade_of(rgb, 4.0)
    PATTERNS[pattern](pen, side, rgb, ink)
    return image


def _plain(pen, side, rgb, ink):
    """Leave the cloth as it is."""


def _striped(pen, side, rgb, ink):
    for y in range(0, side, 6 * SCALE):
        pen.rectangle((0, y, side, y + 2 * SCALE), fill=ink)


def _dotted(pen, side, rgb, ink):
    step, radius = 8 * SCALE, 1.6 * SCALE
    for row, y in enumerate(range(0, side, step // 2)):
        for x in range((row % 2) * step // 2, side, step):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)


def _checked(pen, side, rgb, ink):
    middle = tuple((a + b) // 2 for a, b in zip(rgb, ink))
    step, band = 10 * SCALE, 4 * SCALE
    for start in range(2 * SCALE, side, step):
        pen.rectangle((start, 0, start + band, side), fill=middle)
    for start in range(2 * SCALE, side, step):
        pen.rectangle((0, start, side, start + band), fill=middle)
        for other in range(2 * SCALE, side, step):
            pen.rectangle((other, start, other + band, start + band), fill=ink)


def _floral(pen, side, rgb, ink):
    step, radius, reach = 13 * SCALE, 1.7 * SCALE, 2.1 * SCALE
    petals = (250, 246, 240) if brightness(rgb) < 170 else (214, 60, 92)
    heart = (246, 196, 60)
    leaf = (70, 140, 80) if brightness(rgb) > 90 else (140, 190, 120)
    for row, y in enumerate(range(2 * SCALE, side, step // 2)):
        for x in range((row % 2) * step // 2 + 3 * SCALE, side, step):
            pen.ellipse(
                (x + reach, y + reach, x + 2.2 * reach, y + 1.9 * reach), fill=leaf
            )
            for angle in np.arange(5) * 2 * np.pi / 5 - np.pi / 2:
                px, py = x + reach * np.cos(angle), y + reach * np.sin(angle)
                pen.ellipse(
                    (px - radius, py - radius, px + radius, py + radius), fill=petals
                )
            small = 0.6 * radius
            pen.ellipse((x - small, y - small, x + small, y + small), fill=heart)


PATTERNS = {
    "plain": _plain,
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
    "floral": _floral,
}

# ---------------------------------------------------------------- clothes


NECK_HALF = {"boat": 13}


def _neck(sketch, neckline, top):
    """Cut the neckline into a bodice whose shoulders begin at height ``top``."""
    inside = shade_of(sketch.rgb, 0.72)
    if neckline == "turtle":
        collar = mirrored([(41, top - 9), (40, top + 4)])
        sketch.piece(collar)
        sketch.mark("line", [(41, top - 4), (55, top - 4)])
        return
    half = NECK_HALF.get(neckline, 8)
    depth = {"v": 20, "boat": 4, "collar": 9}.get(neckline, 8)
    if neckline in ("v", "collar"):
        cut = [
            (CENTRE - half, top - 2),
            (CENTRE, top + depth),
            (CENTRE + half, top - 2),
        ]
    else:
        cut = arc((CENTRE, top - 1), half, -depth)
    sketch.mark("polygon", cut, colour=BACKGROUND)
    sketch.mark("polygon", [cut[0], (CENTRE, top + 2.5), cut[-1]], colour=inside)
    sketch.mark("line", cut, colour=sketch.edge, width=1.2)
    if neckline == "collar":
        for side in (-1, 1):
            flap = [
                (CENTRE + side * 7, top - 3),
                (CENTRE, top + 9),
                (CENTRE + side * 8, top + 14),
                (CENTRE + side * 12, top + 2),
            ]
            sketch.mark("polygon", flap, colour=sketch.rgb)
            sketch.mark("line", flap + flap[:1], colour=sketch.edge)


def _sleeves(sketch, sleeve, top, width, cuffs=False):
    """Add both sleeves to shoulders at height ``top``."""
    shoulder = CENTRE - 17 * width
    if sleeve == "short":
        arm = [
            (shoulder + 3, top + 1),
            (shoulder - 12, top + 16),
            (shoulder - 5, top + 24),
            (shoulder + 5, top + 17),
        ]
    elif sleeve == "long":
        arm = [
            (shoulder + 3, top + 1),
            (shoulder - 6, top + 10),
            (shoulder - 12, top + 47),
            (shoulder - 4, top + 49),
            (shoulder + 5, top + 20),
        ]
    else:
        return
    sketch.piece(arm)
    sketch.piece([(SIZE - x, y) for x, y in arm])
    # Inner edge and cuff, which may overlap the body.
    seam = [(shoulder + 3.5, top + 3), *reversed(arm[-3:])]
    hem = [(shoulder - 12, top + 44), (shoulder - 3.6, top + 46)]
    for line in [seam, hem] if cuffs else [seam]:
        sketch.mark("line", line)
        sketch.mark("line", [(SIZE - x, y) for x, y in line])


def _shoulder(product, half, top):
    """Return where the outline leaves the neck and where it meets the arm."""
    neck = NECK_HALF.get(product["neckline"], 8)
    if product["sleeve"] == "sleeveless":
        return [(CENTRE - neck, top - 2), (CENTRE - neck - 3.5, top - 1)]
    return [(CENTRE - neck, top - 2), (CENTRE - max(half, neck + 2), top + 2)]


def _bodice(sketch, product, hem, flare=0, top=20, waist=0, cuffs=False):
    """Add sleeves, a bodice down to ``hem`` and a neckline, for any upper garment."""
    width = FIT_WIDTH[product["fit"]]
    _sleeves(sketch, product["sleeve"], top, width, cuffs)
    left = [
        *_shoulder(product, 17 * width, top),
        (CENTRE - 16 * width, top + 19),
        (CENTRE - (15 - waist) * width, top + 32),
        (CENTRE - (16 + flare) * width, hem),
    ]
    sketch.piece(mirrored(left))
    _neck(sketch, product["neckline"], top)


TOP_HEM = {"cropped": 56, "regular": 72, "long": 84, "": 72}


def _tee(sketch, product):
    _bodice(sketch, product, TOP_HEM[product["length"]])


def _tank(sketch, product):
    hem = TOP_HEM[product["length"]]
    width = FIT_WIDTH[product["fit"]]
    for side in (-1, 1):
        x = CENTRE + side * 9
        sketch.piece([(x - 2, 13), (x + 2, 13), (x + 2, 30), (x - 2, 30)])
    left = [
        (CENTRE - 12, 27),
        (CENTRE - 17 * width, 40),
        (CENTRE - 15 * width, 52),
        (CENTRE - 17 * width, hem),
    ]
    sketch.piece(mirrored(left))
    depth = {"v": 14, "crew": 8, "boat": 3}[product["neckline"]]
    tip = 6 if product["neckline"] != "v" else 0.5
    cut = [(37, 26), (CENTRE - tip, 26 + depth), (CENTRE + tip, 26 + depth), (59, 26)]
    sketch.mark("polygon", cut, colour=BACKGROUND)
    sketch.mark("line", cut, colour=sketch.edge, width=1.2)


def _blouse(sketch, product):
    hem = TOP_HEM[product["length"]]
    _bodice(sketch, product, hem, flare=5, waist=2)
    for x in (40, 56):
        sketch.mark("line", [(x, 48), (x + (x - CENTRE) * 0.35, hem - 2)])
    if product["neckline"] != "turtle":
        bow = [(48, 29), (41, 25), (41, 33), (48, 29), (55, 25), (55, 33)]
        sketch.mark("polygon", bow)
        sketch.mark("line", [(48, 29), (45, 40)], width=1.5)
        sketch.mark("line", [(48, 29), (51, 40)], width=1.5)


def _buttons(sketch, start, stop, count, x=CENTRE):
    for y in np.linspace(start, stop, count):
        sketch.mark("ellipse", [(x - 1.2, y - 1.2), (x + 1.2, y + 1.2)])


def _shirt(sketch, product):
    hem = TOP_HEM[product["length"]]
    _bodice(sketch, product, hem, cuffs=product["sleeve"] == "long")
    sketch.mark("line", [(48, 29), (48, hem)])
    _buttons(sketch, 35, hem - 4, 5, x=50.5)
    sketch.mark("line", [(54, 42), (61, 42), (61, 50), (54, 50), (54, 42)])


def _sweater(sketch, product):
    hem = TOP_HEM[product["length"]]
    _bodice(sketch, product, hem, cuffs=product["sleeve"] == "long")
    width = 16 * FIT_WIDTH[product["fit"]]
    sketch.mark("line", [(CENTRE - width, hem - 5), (CENTRE + width, hem - 5)])
    for x in np.linspace(CENTRE - width + 2, CENTRE + width - 2, 11):
        sketch.mark("line", [(x, hem - 5), (x, hem - 0.5)], width=0.6)


def _cardigan(sketch, product):
    hem = TOP_HEM[product["length"]]
    _bodice(sketch, product, hem, cuffs=product["sleeve"] == "long")
    start = 38 if product["neckline"] == "v" else 27
    for x in (46.5, 49.5):
        sketch.mark("line", [(x, start), (x, hem)])
    _buttons(sketch, start + 3, hem - 4, 5)
    for x in (36, 60):
        sketch.mark("line", [(x - 5, hem - 13), (x + 5, hem - 13)], width=1.4)


def _hoodie(sketch, product):
    hem = TOP_HEM[product["length"]]
    sketch.piece(mirrored([(48, 8), (38, 11), (34, 19), (38, 26)]), round_corners=2)
    _bodice(sketch, dict(product, neckline="crew"), hem, cuffs=True)
    hood = [(48, 12), (41, 14), (39, 21), (48, 28), (57, 21), (55, 14)]
    sketch.mark("polygon", rounded(hood), colour=shade_of(sketch.rgb, 0.6))
    for x in (44, 52):
        sketch.mark("line", [(x, 26), (x, 37)], colour=(245, 245, 245), width=1.3)
    pocket = [(39, hem - 6), (42, hem - 18), (54, hem - 18), (57, hem - 6)]
    sketch.mark("line", pocket + pocket[:1])


def _legs(sketch, width, hem, top=14, taper=0.8, rise=20):
    """Add a waistband and two legs that end at ``hem``."""
    hip, outer = CENTRE - 19, CENTRE - 21 * width
    inner = CENTRE - 2 - 6 * (1 - taper)
    left = [
        (CENTRE - 15, top),
        (hip, top + 18),
        (outer * taper + (CENTRE - 12) * (1 - taper), hem),
        (inner - 1, hem),
        (CENTRE - 0.5, top + rise + 6),
    ]
    sketch.piece(left + [(CENTRE, top)])
    sketch.piece([(SIZE - x, y) for x, y in left] + [(CENTRE, top)])
    sketch.mark("line", [(CENTRE - 15.6, top + 5), (CENTRE + 15.6, top + 5)])
    sketch.mark("line", [(CENTRE, top + 5), (CENTRE, top + rise)])


LEG_HEM = {"cropped": 72, "regular": 90, "mini": 42, "knee": 58}
LEG_TAPER = {"tight": 0.25, "regular": 0.65, "loose": 1.0}


def _jeans(sketch, product):
    hem = LEG_HEM[product["length"]]
    _legs(
        sketch, FIT_WIDTH[product["fit"]], hem, top=8, taper=LEG_TAPER[product["fit"]]
    )
    stitch = (226, 170, 80)
    for side in (-1, 1):
        pocket = [(CENTRE + side * d, y) for d, y in ((8, 13), (10, 19), (16.5, 20))]
        sketch.mark("line", pocket, colour=stitch, width=1.1)
    sketch.mark("line", [(50, 14), (50, 25), (48, 27)], colour=stitch, width=1.1)
    sketch.mark("ellipse", [(46.6, 9.2), (49.4, 12)], colour=stitch)


def _trousers(sketch, product):
    hem = LEG_HEM[product["length"]]
    _legs(
        sketch, FIT_WIDTH[product["fit"]], hem, top=8, taper=LEG_TAPER[product["fit"]]
    )
    for side in (-1, 1):
        sketch.mark("line", [(CENTRE + side * 10, 14), (CENTRE + side * 12, hem - 2)])
        sketch.mark("line", [(CENTRE + side * 13, 14), (CENTRE + side * 16.5, 24)])


def _shorts(sketch, product):
    hem = LEG_HEM[product["length"]] + 8
    _legs(sketch, FIT_WIDTH[product["fit"]], hem, top=18, taper=1.0)
    for side in (-1, 1):
        sketch.mark("line", [(CENTRE + side * 13, 24), (CENTRE + side * 17, 33)])


SKIRT_LENGTH = {"mini": 28, "knee": 46, "maxi": 68}
SKIRT_FLARE = {"tight": 1.02, "regular": 1.45, "loose": 2.0}


def _skirt(sketch, product):
    top = 16
    hem = top + SKIRT_LENGTH[product["length"]]
    half = 14 * SKIRT_FLARE[product["fit"]] + SKIRT_LENGTH[product["length"]] * 0.06
    left = [(CENTRE - 12, top), (CENTRE - 16, top + 14), (CENTRE - half - 2, hem)]
    sketch.piece(mirrored([*left, (CENTRE - half / 2, hem + 2)]))
    sketch.mark("line", [(CENTRE - 13, top + 4), (CENTRE + 13, top + 4)], width=1.3)
    for share in (-0.5, 0, 0.5):
        sketch.mark(
            "line",
            [(CENTRE + share * 20, top + 12), (CENTRE + share * half * 1.3, hem)],
        )


def _dress(sketch, product):
    top, waist = 12, 42
    hem = {"mini": 62, "knee": 76, "maxi": 92}[product["length"]]
    width = FIT_WIDTH[product["fit"]]
    _sleeves(sketch, product["sleeve"], top, 0.82)
    half = 11 * SKIRT_FLARE[product["fit"]] + (hem - waist) * 0.12
    left = [
        *_shoulder(product, 14, top),
        (CENTRE - 14, top + 16),
        (CENTRE - 10.5 * width, waist),
        (CENTRE - half, hem),
        (CENTRE - half / 2, hem + 1.5),
    ]
    sketch.piece(mirrored(left))
    _neck(sketch, product["neckline"], top)
    belt = 10.5 * width
    sketch.mark("line", [(CENTRE - belt, waist), (CENTRE + belt, waist)], width=1.8)
    for share in (-0.5, 0.5):
        sketch.mark(
            "line", [(CENTRE + share * 10, waist + 6), (CENTRE + share * half, hem)]
        )


def _jumpsuit(sketch, product):
    top, waist = 8, 36
    width = FIT_WIDTH[product["fit"]]
    hem = {"cropped": 80, "regular": 92}[product["length"]]
    _sleeves(sketch, product["sleeve"], top, 0.82)
    left = [
        *_shoulder(product, 14, top),
        (CENTRE - 14, top + 15),
        (CENTRE - 11, waist),
        (CENTRE - 15, waist + 14),
        (CENTRE - 13 * width - 3, hem),
        (CENTRE - 3, hem),
        (CENTRE - 0.5, waist + 22),
    ]
    sketch.piece(mirrored(left))
    _neck(sketch, product["neckline"], top)
    sketch.mark("line", [(CENTRE - 11, waist), (CENTRE + 11, waist)], width=2)
    sketch.mark("line", [(CENTRE, waist), (CENTRE, waist + 20)])


# ---------------------------------------------------------------- outerwear


def _lapels(sketch, top, depth, size):
    """Add an open V with lapels."""
    _neck(sketch, "v", top)
    for side in (-1, 1):
        lapel = [
            (CENTRE + side * 8, top - 2),
            (CENTRE, top + depth),
            (CENTRE + side * size, top + depth * 0.55),
            (CENTRE + side * (size - 3), top + depth * 0.42),
            (CENTRE + side * (size + 1), top + depth * 0.32),
        ]
        sketch.mark("polygon", lapel, colour=shade_of(sketch.rgb, 0.85))
        sketch.mark("line", lapel + lapel[:1], colour=sketch.edge)


def _blazer(sketch, product):
    hem = TOP_HEM[product["length"]] + 2
    plain = dict(product, neckline="v", sleeve="long")
    _bodice(sketch, plain, hem, flare=2, waist=2, top=18, cuffs=True)
    _lapels(sketch, 18, 30, 13)
    sketch.mark("line", [(48, 48), (47, hem)])
    _buttons(sketch, 52, 58, 2, x=50.5)
    for x in (37, 59):
        sketch.mark("line", [(x - 5, hem - 12), (x + 5, hem - 12)], width=1.6)


def _jacket(sketch, product):
    hem = {"cropped": 56, "regular": 68}[product["length"]]
    _bodice(sketch, dict(product, neckline="turtle"), hem, top=22, cuffs=True)
    metal = (205, 205, 210)
    width = 16 * FIT_WIDTH[product["fit"]]
    sketch.mark("line", [(48, 14), (48, hem)], colour=metal, width=1.6)
    sketch.mark(
        "line", [(CENTRE - width, hem - 6), (CENTRE + width, hem - 6)], width=1.3
    )
    for side in (-1, 1):
        pocket = [(CENTRE + side * 8, hem - 20), (CENTRE + side * 13, hem - 11)]
        sketch.mark("line", pocket, colour=metal, width=1.4)


def _coat(sketch, product):
    hem = {"knee": 82, "maxi": 93}[product["length"]]
    top = 9
    plain = dict(product, neckline="v", sleeve="long")
    _bodice(sketch, plain, hem, flare=6, waist=1, top=top, cuffs=True)
    _lapels(sketch, top, 24, 15)
    sketch.mark("line", [(48, top + 24), (48, hem)])
    for x in (43, 53):
        _buttons(sketch, 38, 58, 3, x=x)
    belt = 15 * FIT_WIDTH[product["fit"]]
    sketch.mark("line", [(CENTRE - belt, 48), (CENTRE + belt, 48)], width=2.2)


# ---------------------------------------------------------------- shoes, seen from the left

HEEL_HEIGHT = {"flat": 0, "low": 9, "high": 22}
GROUND = 76


def _heel(sketch, height, x=70, block=5):
    """Add the heel under the back of a shoe."""
    if height:
        thick = block if height < 15 else 2
        sketch.piece(
            [
                (x, GROUND - height - 6),
                (x + 13, GROUND - height - 8),
                (x + 12, GROUND),
                (x + 12 - thick, GROUND),
                (x + 7, GROUND - height + 1),
            ]
        )


def _foot(height, instep, back):
    """Return the outline of a shoe whose heel is ``height`` above the ground."""
    lift = GROUND - height
    return [
        (10, GROUND - 1),
        (11, GROUND - 8),
        (22, GROUND - 13),
        (40, GROUND - instep - height * 0.45),
        (58, lift - back * 0.75),
        (82, lift - back),
        (84, lift - 8),
        (82, lift),
        (66, lift),
        (44, GROUND - height * 0.25),
        (30, GROUND),
    ]


def _sole(sketch, height):
    lift = GROUND - height
    line = [
        (10, GROUND),
        (30, GROUND),
        (44, GROUND - height * 0.25),
        (66, lift),
        (82, lift),
    ]
    sketch.mark("line", line, colour=sketch.edge, width=2)


def _sneakers(sketch, product):
    shoe = [(10, 70), (11, 60), (28, 54), (46, 38), (58, 34), (82, 36), (85, 70)]
    sketch.piece(shoe)
    sole = [(8, 68), (87, 68), (87, 76), (82, 78), (12, 78), (8, 75)]
    sketch.mark("polygon", sole, colour=(250, 250, 250))
    sketch.mark("line", sole + sole[:1], colour=sketch.edge, width=1.2)
    for x, y in ((33, 51), (38, 46), (43, 41)):
        lace = (250, 250, 250) if brightness(sketch.rgb) < 200 else sketch.dark
        sketch.mark("line", [(x, y), (x + 8, y + 6)], colour=lace, width=2)
    sketch.mark("line", [(11, 61), (24, 62), (30, 68)])
    sketch.mark("line", [(52, 66), (60, 50), (72, 48)], width=2)


def _boots(sketch, product):
    height = HEEL_HEIGHT[product["heel"]]
    lift = GROUND + 10 - height
    top = 8 if product["length"] == "long" else 36 - height * 0.6
    ground = GROUND + 10
    sketch.piece(
        [
            (12, ground),
            (13, ground - 9),
            (28, ground - 15),
            (46, ground - 22 - height * 0.7),
            (48, top),
            (80, top),
            (79, lift - 20),
            (83, lift - 6),
            (81, lift),
            (66, lift),
            (46, ground - height * 0.2),
            (32, ground),
        ]
    )
    if height:
        thick = 9 if height < 15 else 4
        sketch.piece(
            [(66, lift - 1), (82, lift - 2), (81, ground), (81 - thick, ground)]
        )
    line = [
        (12, ground),
        (32, ground),
        (46, ground - height * 0.2),
        (66, lift),
        (81, lift),
    ]
    sketch.mark("line", line, colour=sketch.edge, width=2.4)
    sketch.mark("line", [(48, top + 4), (80, top + 4)], width=1.2)
    sketch.mark("line", [(74, top + 6), (73, lift - 8)])


def _sandals(sketch, product):
    height = HEEL_HEIGHT[product["heel"]]
    lift = GROUND - height
    _heel(sketch, height)
    sole = [
        (8, GROUND - 4),
        (30, GROUND - 5),
        (46, GROUND - 5 - height * 0.3),
        (66, lift - 6),
        (84, lift - 7),
        (84, lift),
        (66, lift),
        (46, GROUND - height * 0.25),
        (30, GROUND),
        (8, GROUND),
    ]
    sketch.piece(sole)
    sketch.strap(arc((20, GROUND - 4), 9, 14), width=4)
    sketch.strap(arc((38, GROUND - 5 - height * 0.12), 10, 20), width=4)
    ankle = arc((70, lift - 26), 12, 5)
    sketch.strap([(81, lift - 4), (82, lift - 26)], width=4)
    sketch.strap([*ankle, (70, lift - 21), ankle[0]], width=2.5)
    sketch.mark("ellipse", [(62, lift - 26), (66, lift - 22)], colour=(236, 200, 90))


def _flats(sketch, product):
    sketch.piece(_foot(0, 9, 18), round_corners=1)
    sketch.mark("line", [(24, 64), (40, 67), (60, 64), (80, 60)], width=1.2)
    _sole(sketch, 0)
    sketch.mark("polygon", [(24, 62), (17, 58), (17, 66), (24, 62), (31, 58), (31, 66)])


def _pumps(sketch, product):
    height = HEEL_HEIGHT[product["heel"]]
    _heel(sketch, height)
    sketch.piece(_foot(height, 6, 20))
    _sole(sketch, height)
    lift = GROUND - height
    sketch.mark(
        "line", [(24, GROUND - 11), (42, GROUND - 5 - height * 0.45), (60, lift - 12)]
    )


# ---------------------------------------------------------------- accessories


def _bag(sketch, product):
    sketch.strap(arc((48, 40), 17, 28))
    sketch.piece([(20, 38), (76, 38), (84, 84), (12, 84)])
    sketch.mark("line", [(19, 44), (77, 44)], width=1.3)
    flap = [(30, 38), (66, 38), (60, 58), (36, 58)]
    sketch.mark("line", flap + flap[:1], width=1.3)
    sketch.mark("ellipse", [(45, 53), (51, 59)], colour=(236, 200, 90))


def _scarf(sketch, product):
    sketch.piece([(36, 34), (56, 30), (52, 88), (34, 88)])
    sketch.piece([(46, 32), (62, 34), (74, 80), (58, 84)])
    sketch.piece(
        [
            (18, 22),
            (34, 12),
            (62, 12),
            (78, 22),
            (74, 36),
            (56, 42),
            (40, 42),
            (22, 36),
        ],
        round_corners=2,
    )
    inner = [(32, 22), (48, 18), (64, 22), (48, 28)]
    sketch.mark("polygon", rounded(inner), colour=shade_of(sketch.rgb, 0.6))
    for x in range(35, 52, 4):
        sketch.mark("line", [(x, 88), (x, 94)], colour=sketch.edge, width=1.3)
    for x in range(60, 75, 4):
        y = 84 - (x - 58) * 0.25
        sketch.mark("line", [(x, y), (x + 1.5, y + 6)], colour=sketch.edge, width=1.3)
    sketch.mark("line", [(40, 44), (38, 84)])


def _hat(sketch, product):
    brim = [(4, 62), (22, 54), (74, 54), (92, 62), (74, 72), (22, 72)]
    sketch.piece(brim, round_corners=3)
    sketch.piece([(26, 62), (29, 34), (38, 24), (48, 28), (58, 24), (67, 34), (70, 62)])
    sketch.mark("polygon", [(26.5, 59), (27.4, 51), (68.6, 51), (69.5, 59)])


SHAPES = {
    "tee": _tee,
    "tank": _tank,
    "blouse": _blouse,
    "shirt": _shirt,
    "sweater": _sweater,
    "cardigan": _cardigan,
    "hoodie": _hoodie,
    "jeans": _jeans,
    "trousers": _trousers,
    "shorts": _shorts,
    "skirt": _skirt,
    "dress": _dress,
    "jumpsuit": _jumpsuit,
    "blazer": _blazer,
    "jacket": _jacket,
    "coat": _coat,
    "sneakers": _sneakers,
    "boots": _boots,
    "sandals": _sandals,
    "flats": _flats,
    "pumps": _pumps,
    "bag": _bag,
    "scarf": _scarf,
    "hat": _hat,
}
