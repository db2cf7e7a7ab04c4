"""How a store is asked for: ``exact``, ``usearch[:FOLDER]``, ``milvus[:URI]``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from recbole_whisperlite.errors import UserError, did_you_mean

#: How many items an index looks for at first, and for the normalizer of the memory.
N_CANDIDATES = 256
NAMES = ("exact", "usearch", "milvus")


def without_password(place: str) -> str:
    """Return an address without the name and password that it may have, to be shown."""
    scheme, separator, rest = place.rpartition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else place


class Address(NamedTuple):
    """Which store, and where.

    Attributes:
        name (str): One of :data:`NAMES`.
        place (str): A folder or the address of a Milvus; "" for the usual one.
    """

    name: str
    place: str

    @classmethod
    def of(cls, text: object) -> Address:
        """Return what ``--store`` says.

        Raises:
            UserError: If there is no such store.
        """
        name, _, place = text.partition(":") if isinstance(text, str) else ("", "", "")
        if name not in NAMES or (name == "exact" and place):
            raise UserError(
                f"There is no store {text!r}.{did_you_mean(name, NAMES)} The stores are "
                "exact, usearch or usearch:FOLDER, and milvus or milvus:URI, such as "
                "milvus:http://localhost:19530 or milvus:shop.db."
            )
        return cls(name, place)

    def __str__(self) -> str:
        place = without_password(self.place)
        return f"{self.name}:{place}" if place else self.name

    def folder(self, model: Path) -> Path:
        """Return where the files of the store of a model are: beside those of the model,
        unless it is a usearch that is elsewhere."""
        if self.name == "usearch" and self.place:
            return Path(self.place).expanduser().resolve()
        return model / f"store-{self.name}"

    def uri(self, model: Path) -> str:
        """Return the address of Milvus; by default a file of the embedded one."""
        return self.place or str(self.folder(model) / "milvus.db")
