"""The files of a store: what it was made of, how rows become vectors, and their keys."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file
from recbole_whisperlite.recommend.folder import digest
from recbole_whisperlite.recommend.stores.geometry import Geometry
from recbole_whisperlite.recommend.stores.keys import Keys

FORMAT, VERSION, ABOUT = "recbole-whisperlite store", 1, "store.json"


class Fingerprint(NamedTuple):
    """What tells a model from others, and from itself at other times.

    Attributes:
        trained (str): Of what only the training decides.
        contents (str): Of all that a score depends on, and the item table.
    """

    trained: str
    contents: str

    @classmethod
    def of(cls, config: dict) -> Fingerprint:
        """Return that of a model from its ``config.json``, which has the digests of its
        files."""
        files = {name: each["digest"] for name, each in config["files"].items()}
        files.pop("users.parquet", None)  # anybody can ask
        trained = {
            name: of_file
            for name, of_file in files.items()
            if name.startswith(("encoder-", "model.", "request_vectors."))
        }
        contents = [files, config["scorer"], config["catalogue"]["types"]]
        return cls(*(_hash([config["model"], each]) for each in (trained, contents)))


def _hash(value):
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


class Home:
    """The folder of a store.

    ``store.json`` is replaced last: the folder is one store or another at any moment.

    Args:
        folder (Path): The folder.
        name (str): The name of the store.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name

    def exists(self) -> bool:
        """Return whether there is a store."""
        return (self.folder / ABOUT).is_file()

    def make(self, may_hold_more: bool) -> None:
        """Make the folder.

        Args:
            may_hold_more (bool): Whether it may have other files, but no store.

        Raises:
            UserError: If it has, and may not; or cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            is_ours = may_hold_more or self.exists()
            if not is_ours and any(self.folder.iterdir()):
                raise UserError(
                    f"{self.folder} holds something else than a store. Choose another "
                    "folder, or empty it."
                )
        except OSError as error:
            raise UserError(
                f"The store cannot be written to {self.folder}: "
                f"{error.strerror or error}."
            ) from None

    def write(
        self, model: Fingerprint, index: dict, geometry: Geometry, keys: Keys
    ) -> None:
        """Write all but the index.

        Args:
            model (Fingerprint): What the store is made of.
            index (dict): What is needed to open the index.
            geometry (Geometry), keys (Keys): As of :class:`IndexedStore`.

        Raises:
            OSError: If the folder cannot be written to.
        """
        name = f"rows-{uuid.uuid4().hex[:8]}.npz"
        arrays = {"mean": geometry.mean, "scale": geometry.scale, "keys": keys.of_row}
        with whole_file(self.folder / name) as file, open(file, "wb") as opened:
            np.savez(opened, **arrays)
        about = {
            "format": FORMAT,
            "version": VERSION,
            "store": self.name,
            "model": model._asdict(),
            "index": index,
            "length": geometry.length,
            "n_keys": keys.n_given,
            "rows": {"file": name, "digest": digest(self.folder / name)},
        }
        about["digest"] = _hash(about)
        with whole_file(self.folder / ABOUT) as file:
            file.write_text(json.dumps(about, indent=2) + "\n", "utf-8")
        for path in self.folder.glob("rows-*.npz"):
            if path.name != name:
                with contextlib.suppress(OSError):
                    path.unlink()

    def index(self) -> dict | None:
        """Return what is needed to open the index, None if there is no store."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return json.loads((self.folder / ABOUT).read_text("utf-8"))["index"]

    def read(
        self, model: Fingerprint, n_items: int, dim: int, build: str
    ) -> tuple[dict, Geometry, Keys]:
        """Return what :meth:`write` wrote.

        Args:
            model (Fingerprint): The model that asks.
            n_items (int): Its items.
            dim (int): The numbers of an item, side by side.
            build (str): The command that builds the store, for messages.

        Raises:
            UserError: If there is none, it is damaged, of another model, or out of date.
        """
        if not self.exists():
            raise UserError(
                f"There is no store {self.name} in {self.folder}. Build it: {build}"
            )
        try:
            about = json.loads((self.folder / ABOUT).read_text("utf-8"))
            is_whole = about.pop("digest") == _hash(about)
            of = about["format"], about["version"], about["store"]
            made_of = Fingerprint(**about["model"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._refuse(build)
        if not is_whole:
            self._refuse(build)
        if of != (FORMAT, VERSION, self.name):
            raise UserError(
                f"{self.folder} holds no store {self.name} of this version of "
                f"recbole-whisperlite. Build it anew: {build}"
            )
        if made_of.trained != model.trained:
            raise UserError(
                f"The store in {self.folder} was built for another model. Build one for "
                f"this model: {build}"
            )
        if made_of.contents != model.contents:
            raise UserError(
                f"The store in {self.folder} is out of date: the model was changed "
                f"without it. Build it anew: {build}"
            )
        try:
            path = self.folder / about["rows"]["file"]
            is_whole = digest(path) == about["rows"]["digest"]
            with np.load(path, allow_pickle=False) as arrays:
                geometry = Geometry(arrays["mean"], arrays["scale"], about["length"])
                keys = Keys(arrays["keys"], about["n_keys"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
            self._refuse(build)
        if not is_whole or len(keys.of_row) != n_items or len(geometry.mean) != dim:
            self._refuse(build)
        return about["index"], geometry, keys

    def _refuse(self, build):
        raise UserError(
            f"The store in {self.folder} is damaged. Build it anew: {build}"
        )
