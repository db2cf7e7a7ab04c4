"""What exists in stylist-mini and how people talk about it.

Three sets of phrases have the same meanings but share only part of the words: those of
the catalogue's copywriters (``SHADES``, ``Garment.product_nouns``, ``DETAILS``,
``REMARKS``), of the shoppers' wishes (``COLOUR_WORDS``, ``Garment.request_nouns``,
``WISHES``) and of their refusals (``BANS``). A shopper's "flats" are a product's
"ballerinas" with "no heel".
"""

from typing import NamedTuple

# ---------------------------------------------------------------- attribute columns

#: The attribute columns of ``.item``, in file order. An empty value means that the
#: attribute does not apply (a bag has no sleeves).
ATTRIBUTES = (
    "group",
    "garment",
    "colour",
    "pattern",
    "material",
    "sleeve",
    "neckline",
    "fit",
    "length",
    "heel",
    "occasion",
    "style",
    "season",
    "price_band",
    "line",
)

# ---------------------------------------------------------------- garments

FITS = {"tight": 3, "regular": 4, "loose": 3}
HEELS = {"flat": 2, "low": 2, "high": 2}
HEMS = {"mini": 3, "knee": 4, "maxi": 3}
CASUAL = {"everyday": 6, "sport": 1, "beach": 2, "office": 2, "party": 1}
SMART = {"office": 5, "everyday": 3, "party": 2, "wedding": 1}
DRESSY = {"party": 4, "wedding": 3, "office": 3, "everyday": 2, "beach": 1}


class Garment(NamedTuple):
    """One garment type.

    ``share`` is its relative frequency in the catalogue and in the requests;
    ``options`` maps attribute columns to ``{value: relative frequency}``.
    """

    group: str
    share: int
    season: str
    product_nouns: tuple
    request_nouns: tuple
    plural: str
    options: dict


GARMENTS = {
    "tee": Garment(
        "tops",
        9,
        "all",
        ("T-shirt", "tee", "jersey top"),
        ("a t-shirt", "a tee", "t-shirts"),
        "t-shirts",
        {
            "material": {"cotton": 6, "linen": 1, "viscose": 2},
            "sleeve": {"short": 4, "long": 1},
            "neckline": {"crew": 4, "v": 2, "boat": 1},
            "fit": FITS,
            "length": {"cropped": 2, "regular": 4, "long": 1},
            "occasion": CASUAL,
        },
    ),
    "tank": Garment(
        "tops",
        5,
        "summer",
        ("tank top", "camisole", "strappy top"),
        ("a tank top", "a vest top", "a cami"),
        "tank tops",
        {
            "material": {"cotton": 4, "silk": 1, "viscose": 2, "polyester": 1},
            "sleeve": {"sleeveless": 1},
            "neckline": {"crew": 2, "v": 3, "boat": 1},
            "fit": FITS,
            "length": {"cropped": 2, "regular": 4, "long": 1},
            "occasion": {"everyday": 4, "sport": 3, "beach": 3, "party": 1},
        },
    ),
    "blouse": Garment(
        "tops",
        8,
        "all",
        ("blouse", "draped top", "tunic"),
        ("a blouse", "a pretty top", "blouses"),
        "blouses",
        {
            "material": {"silk": 3, "viscose": 4, "cotton": 2, "polyester": 2},
            "sleeve": {"sleeveless": 2, "short": 3, "long": 5},
            "neckline": {"crew": 2, "v": 4, "boat": 2, "collar": 1},
            "fit": FITS,
            "length": {"cropped": 1, "regular": 4, "long": 2},
            "occasion": SMART,
        },
    ),
    "shirt": Garment(
        "tops",
        6,
        "all",
        ("shirt", "button-down", "button-up"),
        ("a shirt", "a button-up shirt", "shirts"),
        "shirts",
        {
            "material": {"cotton": 5, "linen": 3, "silk": 1, "denim": 1},
            "sleeve": {"short": 1, "long": 4},
            "neckline": {"collar": 1},
            "fit": FITS,
            "length": {"cropped": 1, "regular": 4, "long": 2},
            "occasion": SMART,
        },
    ),
    "sweater": Garment(
        "tops",
        8,
        "winter",
        ("sweater", "jumper", "pullover"),
        ("a jumper", "a sweater", "knitwear"),
        "jumpers",
        {
            "material": {"wool": 5, "cashmere": 2, "cotton": 3, "polyester": 1},
            "sleeve": {"short": 1, "long": 6},
            "neckline": {"crew": 3, "v": 3, "turtle": 4, "boat": 1},
            "fit": FITS,
            "length": {"cropped": 2, "regular": 4, "long": 2},
            "occasion": {"everyday": 5, "office": 3, "sport": 1},
        },
    ),
    "cardigan": Garment(
        "tops",
        4,
        "all",
        ("cardigan", "button-through knit", "knitted jacket"),
        ("a cardigan", "a cardi", "cardigans"),
        "cardigans",
        {
            "material": {"wool": 4, "cashmere": 2, "cotton": 3},
            "sleeve": {"short": 1, "long": 6},
            "neckline": {"v": 3, "crew": 2},
            "fit": FITS,
            "length": {"cropped": 2, "regular": 3, "long": 3},
            "occasion": {"everyday": 4, "office": 3},
        },
    ),
    "hoodie": Garment(
        "tops",
        3,
        "winter",
        ("hoodie", "hooded sweatshirt", "hooded sweat top"),
        ("a hoodie", "a sweatshirt with a hood", "hoodies"),
        "hoodies",
        {
            "material": {"cotton": 5, "polyester": 3},
            "sleeve": {"long": 1},
            "fit": {"regular": 3, "loose": 4},
            "length": {"cropped": 2, "regular": 4, "long": 1},
            "occasion": {"everyday": 4, "sport": 4},
        },
    ),
    "jeans": Garment(
        "bottoms",
        7,
        "all",
        ("jeans", "denims", "five-pocket jeans"),
        ("jeans", "a pair of jeans", "new jeans"),
        "jeans",
        {
            "material": {"denim": 1},
            "fit": FITS,
            "length": {"cropped": 2, "regular": 4},
            "occasion": {"everyday": 6, "party": 1, "office": 1},
        },
    ),
    "trousers": Garment(
        "bottoms",
        7,
        "all",
        ("trousers", "slacks", "chinos"),
        ("trousers", "pants", "a pair of trousers"),
        "trousers",
        {
            "material": {"cotton": 3, "wool": 2, "linen": 2, "polyester": 3},
            "fit": FITS,
            "length": {"cropped": 3, "regular": 4},
            "occasion": SMART,
        },
    ),
    "shorts": Garment(
        "bottoms",
        4,
        "summer",
        ("shorts", "short trousers", "summer shorts"),
        ("shorts", "a pair of shorts", "some shorts"),
        "shorts",
        {
            "material": {"denim": 3, "cotton": 4, "linen": 2, "polyester": 1},
            "fit": FITS,
            "length": {"mini": 3, "knee": 2},
            "occasion": {"everyday": 3, "beach": 4, "sport": 3},
        },
    ),
    "skirt": Garment(
        "bottoms",
        6,
        "all",
        ("skirt", "A-line skirt", "wrap skirt"),
        ("a skirt", "skirts", "a nice skirt"),
        "skirts",
        {
            "material": {
                "cotton": 3,
                "viscose": 3,
                "leather": 1,
                "wool": 2,
                "denim": 1,
            },
            "fit": FITS,
            "length": HEMS,
            "occasion": SMART,
        },
    ),
    "dress": Garment(
        "dresses",
        11,
        "all",
        ("dress", "frock", "gown"),
        ("a dress", "dresses", "a nice dress"),
        "dresses",
        {
            "material": {"cotton": 3, "viscose": 4, "silk": 2, "linen": 2, "wool": 1},
            "sleeve": {"sleeveless": 4, "short": 3, "long": 3},
            "neckline": {"crew": 2, "v": 4, "boat": 2, "collar": 1, "turtle": 1},
            "fit": FITS,
            "length": HEMS,
            "occasion": DRESSY,
        },
    ),
    "jumpsuit": Garment(
        "dresses",
        4,
        "all",
        ("jumpsuit", "all-in-one", "one-piece"),
        ("a jumpsuit", "an all-in-one", "jumpsuits"),
        "jumpsuits",
        {
            "material": {"cotton": 2, "viscose": 4, "denim": 1, "linen": 2},
            "sleeve": {"sleeveless": 4, "short": 3, "long": 2},
            "neckline": {"v": 4, "boat": 1, "collar": 2, "crew": 1},
            "fit": FITS,
            "length": {"cropped": 2, "regular": 3},
            "occasion": DRESSY,
        },
    ),
    "blazer": Garment(
        "outerwear",
        4,
        "all",
        ("blazer", "tailored jacket", "suit jacket"),
        ("a blazer", "a suit jacket", "blazers"),
        "blazers",
        {
            "material": {"wool": 4, "linen": 2, "polyester": 3, "cotton": 1},
            "sleeve": {"long": 1},
            "fit": FITS,
            "length": {"cropped": 1, "regular": 4, "long": 2},
            "occasion": SMART,
        },
    ),
    "jacket": Garment(
        "outerwear",
        6,
        "all",
        ("jacket", "bomber", "blouson"),
        ("a jacket", "a bomber jacket", "jackets"),
        "jackets",
        {
            "material": {"denim": 3, "leather": 4, "polyester": 3, "suede": 1},
            "sleeve": {"long": 1},
            "fit": FITS,
            "length": {"cropped": 3, "regular": 4},
            "occasion": {"everyday": 5, "sport": 2, "party": 2},
        },
    ),
    "coat": Garment(
        "outerwear",
        5,
        "winter",
        ("coat", "overcoat", "topcoat"),
        ("a coat", "a proper coat", "coats"),
        "coats",
        {
            "material": {"wool": 5, "cashmere": 1, "polyester": 2, "cotton": 1},
            "sleeve": {"long": 1},
            "fit": FITS,
            "length": {"knee": 4, "maxi": 3},
            "occasion": {"everyday": 4, "office": 4, "party": 1, "wedding": 1},
        },
    ),
    "sneakers": Garment(
        "shoes",
        6,
        "all",
        ("sneakers", "trainers", "lace-ups"),
        ("trainers", "sneakers", "a pair of sneakers"),
        "sneakers",
        {
            "material": {"canvas": 4, "leather": 4, "suede": 1, "polyester": 2},
            "heel": {"flat": 1},
            "occasion": {"everyday": 5, "sport": 5},
        },
    ),
    "boots": Garment(
        "shoes",
        6,
        "winter",
        ("boots", "booties", "bootees"),
        ("boots", "a pair of boots", "booties"),
        "boots",
        {
            "material": {"leather": 5, "suede": 3},
            "heel": HEELS,
            "length": {"regular": 3, "long": 3},
            "occasion": {"everyday": 5, "office": 2, "party": 2},
        },
    ),
    "sandals": Garment(
        "shoes",
        5,
        "summer",
        ("sandals", "open-toed shoes", "slides"),
        ("sandals", "summer shoes", "a pair of sandals"),
        "sandals",
        {
            "material": {"leather": 5, "suede": 2, "straw": 1},
            "heel": HEELS,
            "occasion": {"everyday": 3, "beach": 4, "party": 2, "wedding": 1},
        },
    ),
    "flats": Garment(
        "shoes",
        4,
        "all",
        ("ballerinas", "loafers", "slip-ons"),
        ("flats", "flat shoes", "ballet flats"),
        "flats",
        {
            "material": {"leather": 5, "suede": 3, "canvas": 1},
            "heel": {"flat": 1},
            "occasion": SMART,
        },
    ),
    "pumps": Garment(
        "shoes",
        5,
        "all",
        ("pumps", "court shoes", "slingbacks"),
        ("pumps", "dress shoes", "court shoes"),
        "pumps",
        {
            "material": {"leather": 5, "suede": 3, "silk": 1},
            "heel": {"low": 2, "high": 3},
            "occasion": DRESSY,
        },
    ),
    "bag": Garment(
        "accessories",
        6,
        "all",
        ("handbag", "tote", "shoulder bag"),
        ("a bag", "a purse", "a handbag"),
        "bags",
        {
            "material": {"leather": 5, "canvas": 3, "suede": 1, "straw": 1},
            "occasion": {"everyday": 4, "office": 3, "party": 2, "beach": 1},
        },
    ),
    "scarf": Garment(
        "accessories",
        4,
        "winter",
        ("scarf", "shawl", "wrap"),
        ("a scarf", "a shawl", "scarves"),
        "scarves",
        {
            "material": {"wool": 4, "cashmere": 2, "silk": 3, "cotton": 1},
            "occasion": {"everyday": 5, "office": 2, "party": 1, "wedding": 1},
        },
    ),
    "hat": Garment(
        "accessories",
        3,
        "all",
        ("hat", "wide-brimmed hat", "fedora"),
        ("a hat", "hats", "something for my head"),
        "hats",
        {
            "material": {"wool": 3, "straw": 4, "cotton": 1},
            "occasion": {"everyday": 4, "beach": 4, "wedding": 2},
        },
    ),
}

#: Garments that are called "a pair of".
PAIRS = {
    "jeans",
    "trousers",
    "shorts",
    "sneakers",
    "boots",
    "sandals",
    "flats",
    "pumps",
}

GROUP_NOUNS = {
    "tops": ("tops", "a new top", "something for my upper half"),
    "bottoms": ("bottoms", "something for my lower half", "new bottoms"),
    "dresses": ("a one-piece outfit", "a dress or a jumpsuit"),
    "outerwear": ("outerwear", "something to wear outside", "a layer on top"),
    "shoes": ("shoes", "new shoes", "a pair of shoes", "footwear"),
    "accessories": ("accessories", "a nice accessory", "some finishing touches"),
}
ANYTHING_NOUNS = ("a surprise", "an outfit", "a whole look", "some nice things")

# ---------------------------------------------------------------- colours

#: ``{colour: {shade, as products name it: RGB}}``; the picture shows the shade.
SHADES = {
    "black": {"black": (28, 28, 30), "jet": (18, 18, 24), "ink": (34, 33, 42)},
    "white": {
        "white": (252, 252, 250),
        "ivory": (250, 246, 232),
        "snow": (246, 250, 253),
    },
    "grey": {"grey": (128, 130, 133), "slate": (101, 108, 117), "ash": (150, 151, 150)},
    "beige": {
        "beige": (216, 196, 162),
        "sand": (203, 180, 140),
        "oatmeal": (222, 207, 178),
    },
    "brown": {
        "brown": (112, 74, 48),
        "chocolate": (82, 52, 36),
        "cognac": (148, 88, 46),
    },
    "navy": {
        "navy": (32, 44, 88),
        "midnight": (24, 32, 70),
        "dark blue": (36, 52, 104),
    },
    "blue": {"blue": (52, 104, 192), "cobalt": (30, 80, 184), "azure": (84, 150, 216)},
    "green": {
        "green": (52, 128, 76),
        "emerald": (16, 140, 98),
        "sage": (130, 152, 110),
    },
    "yellow": {
        "yellow": (244, 208, 52),
        "mustard": (214, 168, 34),
        "lemon": (247, 226, 92),
    },
    "orange": {
        "orange": (240, 132, 34),
        "rust": (190, 84, 34),
        "apricot": (248, 168, 98),
    },
    "red": {"red": (212, 34, 42), "crimson": (190, 20, 50), "scarlet": (230, 48, 30)},
    "burgundy": {
        "burgundy": (116, 24, 50),
        "wine": (100, 22, 44),
        "oxblood": (90, 18, 28),
    },
    "pink": {
        "pink": (244, 146, 180),
        "blush": (240, 182, 186),
        "fuchsia": (222, 52, 136),
    },
    "purple": {
        "purple": (118, 64, 158),
        "lilac": (176, 144, 206),
        "violet": (96, 52, 172),
    },
}
COLOUR_SHARES = {
    "black": 9,
    "white": 7,
    "grey": 5,
    "beige": 5,
    "brown": 4,
    "navy": 5,
    "blue": 5,
    "green": 5,
    "yellow": 3,
    "orange": 3,
    "red": 4,
    "burgundy": 3,
    "pink": 4,
    "purple": 3,
}
#: What shoppers call a colour, the most frequent word first.
COLOUR_WORDS = {
    "black": ("black", "all black"),
    "white": ("white", "off-white"),
    "grey": ("grey", "charcoal"),
    "beige": ("beige", "camel", "nude"),
    "brown": ("brown", "tan"),
    "navy": ("navy", "navy blue", "deep blue"),
    "blue": ("blue", "bright blue", "sky blue"),
    "green": ("green", "olive", "khaki"),
    "yellow": ("yellow", "sunny yellow"),
    "orange": ("orange", "terracotta"),
    "red": ("red", "bright red", "cherry"),
    "burgundy": ("burgundy", "dark red", "maroon"),
    "pink": ("pink", "rose", "hot pink"),
    "purple": ("purple", "plum", "lavender"),
}
#: Colours that a stylist accepts in place of the one wished for.
NEAR_COLOURS = {
    "black": ("grey",),
    "grey": ("black",),
    "navy": ("blue",),
    "blue": ("navy",),
    "red": ("burgundy",),
    "burgundy": ("red",),
    "beige": ("brown", "white"),
    "brown": ("beige",),
    "white": ("beige",),
    "pink": ("purple",),
    "purple": ("pink",),
    "yellow": ("orange",),
    "orange": ("yellow",),
    "green": (),
}

# ---------------------------------------------------------------- styles and lines

PATTERN_SHARES = {"plain": 10, "striped": 3, "dotted": 2, "checked": 3, "floral": 3}
#: Garments that never have a pattern.
ALWAYS_PLAIN = {"jeans", "sneakers", "boots", "sandals", "flats", "pumps", "hat"}
#: Colours that are usual for a garment, in addition to those of its style.
USUAL_COLOURS = {
    "jeans": ("blue", "navy", "black", "grey", "white"),
    "boots": ("black", "brown", "beige", "burgundy"),
    "trousers": ("black", "navy", "grey", "beige"),
    "coat": ("black", "beige", "grey", "navy", "brown"),
}
PLAIN_MATERIALS = {"leather", "suede", "straw"}

#: ``{style: (its colours, its patterns)}``, of products and of shoppers who like it.
STYLES = {
    "classic": (("navy", "white", "beige", "grey"), ("plain", "striped")),
    "minimal": (("black", "white", "grey", "beige"), ("plain",)),
    "boho": (("brown", "orange", "green", "burgundy"), ("floral",)),
    "edgy": (("black", "red", "burgundy", "purple"), ("plain", "checked")),
    "romantic": (("pink", "white", "purple", "red"), ("floral", "dotted")),
    "sporty": (("blue", "grey", "yellow", "green"), ("striped", "plain")),
    "retro": (("yellow", "orange", "red", "blue"), ("dotted", "checked")),
}

#: ``{line: (its usual style, its usual price band)}``: the label on a product.
LINES = {
    "Marlow": ("classic", "mid"),
    "Calder": ("classic", "high"),
    "Ostra": ("minimal", "high"),
    "Fenfield": ("minimal", "low"),
    "Liora": ("boho", "mid"),
    "Tamsin": ("boho", "low"),
    "Sable": ("edgy", "high"),
    "Grit": ("edgy", "low"),
    "Noor": ("romantic", "mid"),
    "Amabel": ("romantic", "high"),
    "Brisk": ("sporty", "low"),
    "Velox": ("sporty", "mid"),
    "Quill": ("retro", "low"),
    "Hollis": ("retro", "mid"),
}
PRICE_BANDS = ("low", "mid", "high")

# ---------------------------------------------------------------- how products talk

MATERIAL_WORDS = {
    "cotton": ("cotton", "organic cotton", "brushed cotton"),
    "linen": ("linen", "washed linen", "woven flax"),
    "silk": ("silk", "mulberry silk", "satin"),
    "wool": ("wool", "merino", "lambswool"),
    "cashmere": ("cashmere", "cashmere blend"),
    "denim": ("denim", "rigid twill", "stonewashed denim"),
    "leather": ("leather", "nappa", "calfskin"),
    "suede": ("suede", "nubuck"),
    "viscose": ("viscose", "rayon", "flowing crepe"),
    "polyester": ("polyester", "microfibre", "technical fabric"),
    "canvas": ("canvas", "sailcloth"),
    "straw": ("straw", "raffia"),
}

#: ``{column: {value: noun phrases}}``: what follows "with".
DETAILS = {
    "pattern": {
        "plain": ("no print at all", "one solid colour"),
        "striped": ("fine stripes", "Breton stripes", "a striped weave"),
        "dotted": ("polka dots", "a dotted print", "scattered spots"),
        "checked": ("a tartan check", "a gingham pattern", "a plaid weave"),
        "floral": ("a floral print", "blossoms all over", "a botanical motif"),
    },
    "sleeve": {
        "sleeveless": ("no sleeves", "a sleeveless cut", "slender straps"),
        "short": ("short sleeves", "cap sleeves", "sleeves above the elbow"),
        "long": ("long sleeves", "full sleeves", "sleeves down to the wrist"),
    },
    "neckline": {
        "crew": ("a round neck", "a crew neck"),
        "v": ("a V-neck", "a plunging neckline", "a deep V"),
        "turtle": ("a roll neck", "a funnel neck", "a folded high neck"),
        "collar": ("a pointed collar", "a crisp collar"),
        "boat": ("a boat neck", "a bateau neckline", "an off-shoulder line"),
    },
    "fit": {
        "tight": ("a slim cut", "a body-hugging shape", "a close fit"),
        "regular": ("a straight cut", "a regular fit"),
        "loose": ("a relaxed fit", "an oversized shape", "plenty of room"),
    },
    "length": {
        "cropped": ("a cropped length", "a shortened cut"),
        "regular": ("a standard length",),
        "long": ("an elongated cut", "extra length"),
        "mini": ("a mini length", "a hem high on the thigh"),
        "knee": ("a midi length", "a hem at the knee"),
        "maxi": ("a floor-sweeping hem", "an ankle-grazing hem"),
    },
    "heel": {
        "flat": ("no heel", "a level sole", "a flat sole"),
        "low": ("a kitten heel", "a small block heel"),
        "high": ("a stiletto heel", "a towering heel", "a 10 cm heel"),
    },
}

#: ``{column: {value: whole sentences}}``.
REMARKS = {
    "occasion": {
        "everyday": ("For every day of the week.", "Your off-duty companion."),
        "office": ("Made for the office.", "Boardroom-ready.", "Means business."),
        "party": ("Ready for the dance floor.", "Made for evenings out."),
        "wedding": ("Fit for a ceremony.", "For wedding guests.", "A festive choice."),
        "sport": ("Keeps up with your workout.", "Made to move and sweat in."),
        "beach": ("Pack it for the seaside.", "Made for sun and sand."),
    },
    "style": {
        "classic": ("A timeless piece.", "Never goes out of fashion."),
        "minimal": ("Pared back to the essentials.", "Clean lines, nothing more."),
        "boho": ("Free-spirited and artisanal.", "A bohemian soul."),
        "edgy": ("With a rebellious streak.", "Rock attitude included."),
        "romantic": ("Soft and dreamy.", "Tender, feminine details."),
        "sporty": ("An athletic look.", "Borrowed from the track."),
        "retro": ("A nod to the sixties.", "Vintage charm."),
    },
    "season": {
        "summer": ("Light enough for hot days.", "Breezy in the heat."),
        "winter": ("Keeps the cold out.", "Cosy when it freezes."),
        "all": ("Works all year round.", "Easy to layer."),
    },
    "price_band": {
        "low": ("Kind to your wallet.", "Great value."),
        "mid": ("Fairly priced.", "Quality within reach."),
        "high": ("A luxury investment.", "Premium craftsmanship."),
    },
}

#: How often a description mentions each attribute; what it leaves out may still be
#: visible in the picture.
TOLD = {
    "pattern": 0.85,
    "sleeve": 0.75,
    "neckline": 0.7,
    "fit": 0.65,
    "length": 0.65,
    "heel": 0.85,
    "occasion": 0.75,
    "style": 0.7,
    "season": 0.35,
    "price_band": 0.45,
}
#: Values that are rarely mentioned, and how often they are.
UNREMARKABLE = {("pattern", "plain"), ("fit", "regular"), ("length", "regular")}
UNREMARKABLE_TOLD = 0.2

OPENINGS = (
    "{a_shade_noun} in {material}",
    "{a_noun} in {shade} {material}",
    "{line} presents {a_noun} of {material} in {shade}",
    "{a_noun} by {line}, {shade}, made of {material}",
    "From the {line} studio: {a_shade_noun} of {material}",
)
FILLERS = (
    "Machine washable at thirty degrees.",
    "Our model is 176 cm tall.",
    "A favourite of our stylists.",
    "New this season.",
    "Pairs well with what you already own.",
    "Designed in our own studio.",
    "You will reach for it often.",
    "Finished by hand.",
    "Wrapped in recycled paper.",
    "Fits true to size.",
    "A piece that starts conversations.",
    "Tested by a hundred wearers.",
)

# ---------------------------------------------------------------- how shoppers wish

#: ``{column: {value: fragments}}``: what follows "something". Wishes for colours are
#: made from ``COLOUR_WORDS``.
WISHES = {
    "pattern": {
        "plain": ("in one plain colour", "without any print", "plain and simple"),
        "striped": ("with stripes", "in stripes", "striped"),
        "dotted": ("with polka dots", "with dots", "spotted"),
        "checked": ("with a check pattern", "in plaid", "in tartan"),
        "floral": ("with flowers", "with a flower print", "floral"),
    },
    "material": {
        "cotton": ("in cotton", "made of pure cotton"),
        "linen": ("in linen", "made of linen"),
        "silk": ("in silk", "silky"),
        "wool": ("made of wool", "woolly"),
        "cashmere": ("in cashmere", "made of soft cashmere"),
        "denim": ("in denim", "made of denim"),
        "leather": ("in leather", "made of real leather"),
        "suede": ("in suede", "made of suede"),
        "viscose": ("in viscose", "that flows nicely"),
        "polyester": ("that needs no ironing", "in easy-care fabric"),
        "canvas": ("in canvas", "made of canvas"),
        "straw": ("made of straw", "in straw"),
    },
    "sleeve": {
        "sleeveless": ("sleeveless", "that shows my arms", "with straps"),
        "short": ("with short sleeves", "short-sleeved"),
        "long": ("with long sleeves", "that covers my arms", "long-sleeved"),
    },
    "neckline": {
        "crew": ("with a round neckline", "with a crew neck"),
        "v": ("with a v-neck", "with a low neckline", "that shows some cleavage"),
        "turtle": ("with a turtleneck", "with a high neck", "with a roll neck"),
        "collar": ("with a collar", "with a proper collar"),
        "boat": ("with a boat neck", "that shows my shoulders", "off the shoulder"),
    },
    "fit": {
        "tight": ("that shows my figure", "fitted", "tight-fitting"),
        "regular": ("with a normal fit", "that is cut straight"),
        "loose": ("baggy", "loose", "oversized", "that hides my tummy"),
    },
    "length": {
        "cropped": ("cropped", "cut a bit shorter than usual"),
        "regular": ("in a normal length",),
        "long": ("on the long side", "extra long"),
        "mini": ("really short", "above the knee", "that shows my legs"),
        "knee": ("knee-length", "midi", "that ends at the knee"),
        "maxi": ("down to the floor", "in maxi length", "down to my ankles"),
    },
    "heel": {
        "flat": ("flat", "with flat soles", "good for walking all day"),
        "low": ("with a low heel", "with a little heel"),
        "high": ("with high heels", "with a high heel", "that makes me taller"),
    },
    "occasion": {
        "everyday": ("for every day", "for running errands", "for weekends at home"),
        "office": ("for work", "for the office", "for a job interview"),
        "party": ("for a party", "for a night out", "for my birthday party"),
        "wedding": ("for a wedding", "for my cousin's wedding", "for a christening"),
        "sport": ("for the gym", "for yoga class", "for working out"),
        "beach": ("for the beach", "for my beach holiday", "for the pool"),
    },
    "style": {
        "classic": ("classic", "timeless", "in a preppy style"),
        "minimal": ("minimalist", "simple and clean"),
        "boho": ("boho", "a bit hippie", "in a folk style"),
        "edgy": ("edgy", "a bit punk", "with a rock vibe"),
        "romantic": ("romantic", "girly", "sweet and feminine"),
        "sporty": ("sporty", "in an athletic style"),
        "retro": ("retro", "vintage", "with a sixties vibe"),
    },
    "season": {
        "summer": ("for summer", "for hot weather", "that is light and airy"),
        "winter": ("for winter", "that keeps me warm", "for cold weather"),
        "all": ("for the whole year",),
    },
    "price_band": {
        "low": ("on a budget", "cheap", "at a small price"),
        "mid": ("at a reasonable price", "in the middle price range"),
        "high": ("luxurious", "high-end", "that feels expensive"),
    },
}

#: Relative frequency with which shoppers wish for each attribute.
WISH_WEIGHTS = {
    "colour": 6,
    "pattern": 2.5,
    "material": 1.5,
    "sleeve": 2,
    "neckline": 1.5,
    "fit": 2.5,
    "length": 2,
    "heel": 3,
    "occasion": 4,
    "style": 2.5,
    "season": 1,
    "price_band": 1.5,
}

# ---------------------------------------------------------------- how shoppers refuse


class Ban(NamedTuple):
    """One negative wish.

    ``predicates`` are the ``column=value`` facts it rules out; ``things`` complete
    "no ..."; ``sentences`` are complete by themselves.
    """

    predicates: tuple
    things: tuple
    sentences: tuple = ()


BANS = (
    Ban(
        ("heel=low", "heel=high"),
        ("heels", "heels of any kind"),
        ("I can't walk in heels", "My doctor told me to stay away from heels"),
    ),
    Ban(
        ("heel=high",),
        ("high heels", "stilettos", "very high heels"),
        ("I twist my ankle in high heels", "High heels kill my feet"),
    ),
    Ban(("heel=flat",), ("flat soles", "completely flat shoes")),
    Ban(
        ("sleeve=sleeveless",),
        ("bare arms", "sleeveless things", "sleeveless cuts"),
        ("Nothing sleeveless", "I don't like my arms, so nothing sleeveless"),
    ),
    Ban(
        ("sleeve=long",),
        ("long sleeves",),
        ("I always push up long sleeves, so not those",),
    ),
    Ban(("sleeve=short",), ("short sleeves",)),
    Ban(
        ("neckline=v",),
        ("low necklines", "deep necklines", "v-necks"),
        ("Nothing low-cut", "I feel naked in v-necks"),
    ),
    Ban(
        ("neckline=turtle",),
        ("turtlenecks", "roll necks"),
        ("I suffocate in turtlenecks", "Turtlenecks make me look like I have no neck"),
    ),
    Ban(("neckline=boat",), ("off-shoulder cuts", "bare shoulders", "boat necks")),
    Ban(
        ("fit=tight",),
        ("tight clothes", "tight cuts", "clingy things"),
        ("Nothing too tight", "Tight things make me feel fat"),
    ),
    Ban(
        ("fit=loose",),
        ("baggy cuts", "oversized things", "baggy clothes"),
        ("Oversized things make me look like a tent",),
    ),
    Ban(
        ("length=mini",),
        ("mini lengths", "short hems", "hems above the knee"),
        ("Nothing above the knee", "I am too old for mini hems"),
    ),
    Ban(
        ("length=maxi",),
        ("maxi lengths", "floor-length hems"),
        ("I am 1.55 m and drown in maxi lengths",),
    ),
    Ban(("length=cropped",), ("cropped things", "cropped cuts"), ("Nothing cropped",)),
    Ban(("pattern=floral",), ("florals", "flowers", "flower prints")),
    Ban(
        ("pattern=striped",),
        ("stripes", "striped things"),
        ("Stripes make me look wide",),
    ),
    Ban(("pattern=dotted",), ("polka dots", "dots")),
    Ban(
        ("pattern=checked",),
        ("checks", "plaid"),
        ("Plaid reminds me of picnic blankets",),
    ),
    Ban(
        ("pattern=striped", "pattern=dotted", "pattern=checked", "pattern=floral"),
        ("prints", "patterns", "busy prints"),
        ("Patterns are too loud for me",),
    ),
    Ban(("material=wool",), ("wool",), ("Wool makes me itch", "I am allergic to wool")),
    Ban(("material=silk",), ("silk",), ("I ruin silk in the wash every time",)),
    Ban(
        ("material=polyester",), ("synthetics", "polyester"), ("I sweat in synthetics",)
    ),
    Ban(
        ("material=leather", "material=suede"),
        ("leather or suede", "animal skins"),
        ("I am vegan, so nothing made of leather or suede",),
    ),
    Ban(
        ("price_band=high",),
        ("expensive pieces", "luxury prices"),
        ("I can't afford expensive things right now", "Nothing expensive this month"),
    ),
    Ban(("style=boho",), ("hippie looks", "boho things")),
    Ban(("style=romantic",), ("girly looks", "frills"), ("Nothing girly",)),
    Ban(("style=edgy",), ("punk looks", "rocker looks"), ("Nothing punk",)),
    Ban(("style=sporty",), ("sporty looks",), ("Nothing sporty",)),
    Ban(("style=retro",), ("retro looks", "vintage looks")),
    Ban(
        ("colour=yellow", "colour=orange", "colour=red", "colour=pink"),
        ("bright colours", "loud colours"),
        ("Bright colours scare me",),
    ),
    *(
        Ban(
            (f"colour={colour}",),
            (colour,),
            (f"I never wear {colour}", f"{colour.capitalize()} does nothing for me"),
        )
        for colour in SHADES
    ),
    *(
        Ban(
            (f"garment={name}",), (garment.plural,), (f"I never wear {garment.plural}",)
        )
        for name, garment in GARMENTS.items()
        if garment.group != "accessories"
    ),
)
#: Relative frequency of a single ban, by column: low where there are many bans, as for
#: colours, high where there are few, as for heels.
BAN_WEIGHTS = {
    "heel": 8,
    "sleeve": 4,
    "neckline": 2,
    "fit": 2,
    "length": 3,
    "pattern": 1.2,
    "material": 1.2,
    "price_band": 0.7,
    "style": 0.4,
    "colour": 0.4,
    "garment": 2,
}
BAN_SENTENCES = (
    "No {things}",
    "No {things} please",
    "Please no {things}",
    "I'd rather avoid {things}",
    "I am not a fan of {things}",
    "Anything but {things}",
    "Please skip {things}",
    "I don't want {things}",
    "I can't stand {things}",
    "Keep {things} away from me",
)

# ---------------------------------------------------------------- how shoppers chat

NEEDS = (
    "I am looking for {what}",
    "I need {what}",
    "Could you find me {what}",
    "Please send me {what}",
    "I would love {what}",
    "Can you pick {what} for me",
    "My next box should have {what}",
    "Time for {what}",
    "I am hoping for {what}",
    "Could use {what}",
    "What I want is {what}",
)
WISH_SENTENCES = (
    "Preferably something {wish}",
    "Ideally something {wish}",
    "Something {wish} would be great",
    "I picture something {wish}",
    "I have something {wish} in mind",
    "Something {wish} always works on me",
    "If you can, something {wish}",
)
GREETINGS = (
    "Hi",
    "Hello",
    "Hey there",
    "Good morning",
    "Dear stylist",
    "Hi {name}",
    "Hello again",
    "Hi everyone",
)
CLOSINGS = (
    "Thank you",
    "Thanks so much",
    "Thanks a lot in advance",
    "Can't wait",
    "Surprise me",
    "I trust you",
    "You always get it right",
    "Love, {name}",
    "Best wishes from {city}",
    "See you next month",
)
CHATTER = (
    "I just moved to {city} and the boxes are still everywhere",
    "It has been {weather} in {city} for weeks",
    "My {child} just started school and mornings are chaos",
    "My {child} painted the whole kitchen last weekend",
    "{name} and I are flying to {city} soon",
    "I started a new job as a {job}",
    "My last box arrived on a rainy Tuesday",
    "I am {number} years old and finally feel at home in my skin",
    "After the baby I am getting to know my body again",
    "My husband says black is the only colour there is",
    "My {child} wears nothing but pink at the moment",
    "My sister {name} got married last year in {city}",
    "We adopted a {pet} and there is hair on everything",
    "I lost some weight this year and half my wardrobe does not fit",
    "I was on a diet, you can imagine how that went",
    "My best friend {name} recommended you",
    "The last box was great by the way",
    "I sent back two things last time but it was my own fault",
    "I usually shop online at midnight with a glass of wine",
    "My mother keeps giving me flowery dresses that stay in the closet",
    "I work as a {job} and sit most of the day",
    "I ride my bike to work even when it is {weather}",
    "We are renovating and I live out of a suitcase",
    "My {pet} chewed up my favourite shoes",
    "There is a reunion coming up and everybody will be there",
    "I have broad shoulders and narrow hips",
    "I am tall, about 1.80 m, so size matters",
    "I am rather petite",
    "Work is crazy",
    "Life is busy",
    "I love your boxes",
    "My {pet} says hello",
    "Greetings from {city}",
    "It is {weather} here",
    "I feel like shopping",
    "I turned {number} recently",
    "{name} loved my last box",
    "Spring came early in {city}",
    "My {child} is asleep",
    "I have had a long week",
    "We got a {pet}",
    "I usually take a size {size}",
    "My size changed from {size} to something bigger",
    "My colleague {name} always looks fantastic and I want that too",
    "Sorry for writing so late",
    "I know this is a bit vague",
    "I hope this makes sense",
    "Writing this on my phone on the train to {city}",
    "We spend the holidays in {city} with my parents",
    "It was {weather} when I got up and now the sun is shining",
    "I gave all my old clothes to charity",
    "My {child} has a concert and I sit in the first row",
    "{name} is visiting from {city} and we will explore the museums",
    "I have been wearing the same things for years",
    "I keep telling myself to try something new",
    "I get bored with my wardrobe so quickly",
    "Last month I treated myself to a spa weekend",
    "I found an old photo of me in {city} and I looked so happy",
    "My therapist says I should treat myself more often",
    "My {pet} is asleep on the keyboard",
    "There was a film with a lovely coat in it but I forgot its name",
    "I read about you in a magazine at the dentist",
    "Please leave the parcel with my neighbour {name}",
    "The delivery took {number} days last time",
    "I am on the jury of a cooking contest in {city}",
    "Our car broke down so we walk a lot",
    "I am learning Italian on Thursdays",
    "My garden in {city} is full of tomatoes this year",
    "I teach {number} children and they notice everything",
    "I broke my wrist in spring but it is fine now",
    "My {child} turns {child_age} next week",
    "We had {weather} days and I spent them on the sofa",
    "My boss {name} sends emails at five in the morning",
    "People tell me that I look younger than I am",
    "I sing in a choir with {number} other altos",
    "The {pet} of my neighbour {name} visits me every day",
    "My hair is red this year and grey underneath",
    "I have a weakness for cheese and good books",
    "The weather app promised sun and then it was {weather}",
    "I am 5'4\" and proud of it",
    'My {child} calls it "grandma\'s {weather} day mood"',
)
#: Words for the slots in GREETINGS, CLOSINGS and CHATTER.
SLOTS = {
    "city": (
        "Hamburg",
        "Vienna",
        "Lisbon",
        "Oslo",
        "Chicago",
        "Paris",
        "Cape Town",
        "Leeds",
        "Osaka",
        "Munich",
        "Porto",
        "Ghent",
        "Seville",
        "Boston",
    ),
    "name": (
        "Anna",
        "Julia",
        "Mariam",
        "Sofia",
        "Ines",
        "Kim",
        "Laura",
        "Nadia",
        "Ruth",
        "Yuki",
        "Carla",
        "Helen",
    ),
    "child": ("daughter", "son", "little one", "niece", "nephew", "grandson"),
    "weather": ("grey", "rainy", "freezing", "windy", "far too hot", "foggy"),
    "job": ("teacher", "nurse", "lawyer", "baker", "programmer", "midwife", "vet"),
    "pet": ("dog", "cat", "puppy", "parrot", "rabbit"),
    "number": ("23", "27", "31", "34", "42", "48", "55", "61"),
    "child_age": ("three", "four", "five", "seven", "nine"),
    "size": ("34", "36", "38", "40", "42", "44", "S", "M", "L", "XL"),
}
EMOJI = ("😊", "🙏", "❤️", "👗", "🎉", "😅", "✨", "👠", "🌞", "🤷‍♀️")
