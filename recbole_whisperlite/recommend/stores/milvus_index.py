"""An index in Milvus: embedded, a server, or a cluster, by its address."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Iterator, Mapping

import numpy as np

from recbole_whisperlite.data.texts import IMAGE_FIELD
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.recommend.catalogue import (
    Catalogue,
    id_of,
    is_several,
    is_written_number,
)
from recbole_whisperlite.recommend.stores.address import without_password
from recbole_whisperlite.recommend.stores.index import Additions, Index

#: The environment variable of the token that a server may want.
TOKEN = "MILVUS_TOKEN"
# The fields of a collection; those of columns have numbers, since names are restricted.
_KEY, _VECTOR, _COLUMN = "key", "vector", "column_{}"
# The property of a collection that changes with it, so that a model knows its own.
_VERSION = "recbole_whisperlite_version"
# Limits of Milvus: bytes of a text, values of an array, results, and what is sent at once.
_MOST_BYTES, _MOST_VALUES, _MOST_FOUND, _AT_ONCE = 65_535, 4096, 16_384, 1000


class MilvusIndex(Index):
    """A collection, with the columns of the item table as fields to filter by.

    Args:
        uri (str): Such as ``http://host:19530``, or a file that ends in ``.db``, for the
            embedded ``milvus-lite``.
        stored (dict): ``collection``, ``version``, ``dim`` and ``columns`` (the fields by
            column).

    Raises:
        UserError: If pymilvus is not installed, Milvus cannot be reached, or has another
            collection.
    """

    most, filters = _MOST_FOUND, True

    def __init__(self, uri: str, stored: dict, types: Mapping[str, str]):
        self._uri, self._stored, self._types = uri, stored, dict(types)
        self._client = _client(uri)
        name = stored["collection"]
        with self._asking():
            there = self._client.has_collection(name)
            of = self._client.describe_collection(name) if there else {}
        if not there:
            raise UserError(f"{without_password(uri)} has no collection {name}.")
        if of.get("properties", {}).get(_VERSION) != stored["version"]:
            raise UserError(
                f"The collection {name} of {without_password(uri)} was changed for another copy of "
                "the model."
            )
        with self._asking():
            self._client.load_collection(name)

    @classmethod
    def create(
        cls, uri: str, dim: int, additions: Additions, catalogue: Catalogue
    ) -> MilvusIndex:
        """Make a collection, with a progress bar.

        Args:
            uri (str): As above.
            dim (int): The length of the vectors.
            additions (callable): What it contains.
            catalogue (Catalogue): For its columns.

        Raises:
            UserError: If pymilvus is not installed, or Milvus cannot be reached.
        """
        client, columns = _client(uri), _columns(catalogue)
        stored = {
            "collection": f"recbole_whisperlite_{uuid.uuid4().hex[:12]}",
            "version": uuid.uuid4().hex,
            "dim": dim,
            "columns": columns,
        }
        name = stored["collection"]
        with _refusing(uri):
            try:
                client.create_collection(
                    name,
                    schema=_schema(client, dim, columns, catalogue.types),
                    index_params=_index(client, uri),
                    properties={_VERSION: stored["version"]},
                )
                _insert(client, name, additions, columns, catalogue)
            except BaseException:
                with contextlib.suppress(Exception):
                    client.drop_collection(name)
                raise
        return cls(uri, stored, catalogue.types)

    @contextlib.contextmanager
    def _asking(self):
        with _refusing(self._uri):
            yield

    def search(
        self, queries: np.ndarray, k: int, where: Mapping[str, object] | None
    ) -> np.ndarray:
        with self._asking():
            answers = self._client.search(
                self._stored["collection"],
                data=list(queries),
                anns_field=_VECTOR,
                limit=k,
                filter=expression(where or {}, self._stored["columns"], self._types),
                search_params={"metric_type": "IP"},
                consistency_level="Strong",
            )
        found = np.full((len(queries), k), -1, dtype=np.int64)
        for row, answer in enumerate(answers):
            keys = [each[_KEY] for each in answer]
            found[row, : len(keys)] = keys
        return found

    def changed(
        self,
        removed: np.ndarray,
        added: Additions,
        n_added: int,
        catalogue: Catalogue,
    ) -> MilvusIndex:
        name = self._stored["collection"]
        stored = {**self._stored, "version": uuid.uuid4().hex}
        with self._asking():
            # from here on no other copy of the model takes it for its own
            self._client.alter_collection_properties(
                name, properties={_VERSION: stored["version"]}
            )
            _insert(self._client, name, added, stored["columns"], catalogue)
            for begin in range(0, len(removed), _AT_ONCE):
                self._client.delete(
                    name, ids=removed[begin : begin + _AT_ONCE].tolist()
                )
        return MilvusIndex(self._uri, stored, self._types)

    def about(self) -> dict:
        return self._stored


def drop(uri: str, collection: str) -> None:
    """Remove a collection that another one has replaced, if it can be reached."""
    with contextlib.suppress(UserError), _refusing(uri):
        _client(uri).drop_collection(collection)


def _library():
    try:
        import pymilvus
    except ImportError:
        raise UserError(
            "The store milvus needs the package pymilvus, which is not installed: pip "
            "install 'recbole-whisperlite[milvus]'. The store exact works without it."
        ) from None
    # it logs whatever it raises, with a traceback, and so does the embedded server of what
    # it does not know
    for name in ("pymilvus", "grpc._server"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return pymilvus


def _client(uri):
    library = _library()
    with _refusing(uri):
        return library.MilvusClient(uri, token=os.environ.get(TOKEN, ""))


@contextlib.contextmanager
def _refusing(uri) -> Iterator[None]:
    """Turn whatever pymilvus raises into one UserError."""
    library = _library()
    try:
        yield
    except UserError:
        raise
    except (library.MilvusException, OSError, ValueError, ImportError) as error:
        said = " ".join(str(getattr(error, "message", "") or error).split())[:200]
        raise UserError(
            f"Milvus cannot be asked at {without_password(uri)}: {said.rstrip('.')}. Check that it "
            f"runs there, and the token in {TOKEN} if it wants one; --store exact needs "
            "no Milvus."
        ) from None


def _columns(catalogue):
    """Return the field of each column that can be filtered by."""
    left_out = {catalogue.id_field, IMAGE_FIELD}
    names = [name for name in catalogue.types if name not in left_out]
    return {name: _COLUMN.format(number) for number, name in enumerate(names)}


def _schema(client, dim, columns, types):
    kinds = _library().DataType
    text = {"datatype": kinds.VARCHAR, "max_length": _MOST_BYTES}
    several = {"datatype": kinds.ARRAY, "max_capacity": _MOST_VALUES}
    as_field = {
        "token": text,
        "float": {"datatype": kinds.DOUBLE, "nullable": True},
        "token_seq": {
            **several,
            "element_type": kinds.VARCHAR,
            "max_length": _MOST_BYTES,
        },
        "float_seq": {**several, "element_type": kinds.DOUBLE},
    }
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(_KEY, kinds.INT64, is_primary=True)
    schema.add_field(_VECTOR, kinds.FLOAT_VECTOR, dim=dim)
    for name, field in columns.items():
        schema.add_field(field, **as_field[types[name]])
    return schema


def _index(client, uri):
    """Return the index of the vectors: the server's choice; embedded, which would choose a
    graph that finds too little among few that meet a condition, every vector is read.
    """
    kind = "FLAT" if uri.endswith(".db") else "AUTOINDEX"
    params = client.prepare_index_params()
    params.add_index(_VECTOR, index_type=kind, metric_type="IP")
    return params


def _insert(client, collection, additions, columns, catalogue):
    for added in additions():
        for begin in range(0, len(added.keys), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            values = catalogue.columns_of(added.rows[part], columns)
            ids = catalogue.ids(added.rows[part])
            client.upsert(  # as a change that was broken off may be made again
                collection,
                [
                    {
                        _KEY: int(key),
                        _VECTOR: vector,
                        **{
                            field: _value(of_item[name], name, id_, catalogue)
                            for name, field in columns.items()
                        },
                    }
                    for key, vector, of_item, id_ in zip(
                        added.keys[part], added.vectors[part], values, ids
                    )
                ],
            )
    client.flush(collection)


def _value(value, name, id_, catalogue):
    """Return a cell as a field has it, with what :meth:`Catalogue.where` sees in it."""
    kind = catalogue.types[name]
    if kind == "float":
        return None if value is None or value != value else float(value)
    if kind == "token":
        values = [value or ""]
    else:
        values = (value or "").split(catalogue.seq_separator)
    if max(len(each.encode()) for each in values) > _MOST_BYTES:
        raise UserError(
            f"The item '{id_}' has more than {_MOST_BYTES:,} bytes in the column '{name}', "
            "which Milvus does not take. Shorten it, or use another store."
        )
    if len(values) > _MOST_VALUES:
        raise UserError(
            f"The item '{id_}' has {len(values):,} values in the column '{name}', and "
            f"Milvus takes {_MOST_VALUES:,}. Leave some out, or use another store."
        )
    if kind == "token":
        return values[0]
    if kind == "token_seq":
        return values
    return [float(each) for each in values if is_written_number(each)]


def expression(
    where: Mapping[str, object], columns: Mapping[str, str], types: Mapping[str, str]
) -> str:
    """Return conditions in the language of Milvus; ``""`` for none.

    Args:
        where (dict): As for :meth:`Catalogue.where`, which has accepted them.
        columns (dict): The field of each column; conditions on others are left out, as are
            ranges of a column of several numbers.
        types (dict): The type of each column.
    """
    terms = []
    for column, condition in where.items():
        field, kind = columns.get(column), types[column]
        if field is None or (kind == "float_seq" and isinstance(condition, tuple)):
            continue
        if isinstance(condition, tuple):
            least, most = condition
            ends = [f"{field} is not null"]
            ends += [] if least is None else [f"{field} >= {_literal(least, kind)}"]
            ends += [] if most is None else [f"{field} <= {_literal(most, kind)}"]
            terms.append(" and ".join(ends))
            continue
        given = list(condition) if is_several(condition) else [condition]
        values = ", ".join(_literal(each, kind) for each in given)
        if kind.endswith("_seq"):
            terms.append(f"array_contains_any({field}, [{values}])")
        else:
            terms.append(f"{field} in [{values}]")
    return " and ".join(f"({term})" for term in terms)


def _literal(value, kind):
    if kind.startswith("float"):
        return repr(float(value))
    return json.dumps(id_of(value), ensure_ascii=False)
