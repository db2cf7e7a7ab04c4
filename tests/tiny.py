"""A dozen requests whose answers can be checked by eye."""

from recbole_whisperlite.data.atomic import write_atomic

# user, item, request, time. u1 asks r2 once and takes two items; r4 brings back i1, which
# u1 had already. i9 is in the catalogue and nobody took it.
CHOICES = [
    ("u1", "i1", "r1", 1),
    ("u1", "i2", "r2", 2),
    ("u1", "i3", "r2", 2),
    ("u1", "i4", "r3", 3),
    ("u1", "i1", "r4", 4),
    ("u2", "i2", "r5", 1),
    ("u2", "i5", "r6", 2),
    ("u2", "i6", "r7", 3),
    ("u3", "i3", "r8", 1),
    ("u3", "i7", "r9", 2),
    ("u3", "i2", "r10", 3),
    ("u4", "i5", "r11", 1),
    ("u4", "i8", "r12", 5),
]
REQUESTS = {
    f"r{n}": text
    for n, text in enumerate(
        [
            "a red dress",
            "blue shoes, no heels",
            "a red dress",
            'she said "no dresses',
            "NA",
            "null",
            "None",
            "👗 for a wedding",
            "nothing yellow",
            "a warm coat",
            "blue shoes, no heels",
            "long " * 400,
        ],
        start=1,
    )
}
ITEMS = {f"i{n}": f"Thing {n}" for n in range(1, 10)}


def write_tiny(folder, name="tiny", choices=CHOICES, requests=REQUESTS, items=ITEMS):
    """Write the dozen requests as a dataset folder and return the data_path."""
    home = folder / name
    write_atomic(
        home / f"{name}.inter",
        {
            "user_id": "token",
            "item_id": "token",
            "request_id": "token",
            "timestamp": "float",
        },
        choices,
    )
    write_atomic(
        home / f"{name}.request",
        {"request_id": "token", "request": "token"},
        requests.items(),
    )
    write_atomic(
        home / f"{name}.item", {"item_id": "token", "title": "token"}, items.items()
    )
    return folder
