"""Reads a request-aware dataset: checks its files, and loads or composes its requests."""

import os

import numpy as np
import pandas as pd
from recbole.utils import FeatureSource, FeatureType

from recbole_whisperlite.data.atomic import read_atomic
from recbole_whisperlite.data.columns import check_filled, check_roles, read_column
from recbole_whisperlite.data.folder import (
    origin,
    revealed,
    texts_of_items,
    texts_of_requests,
)
from recbole_whisperlite.data.texts import Template, TextFile, text_fields
from recbole_whisperlite.errors import UserError


class RequestReading:
    """The part of :class:`RequestDatasetMixin` that reads files."""

    def _get_field_from_config(self):
        super()._get_field_from_config()
        self.request_field = self.config["REQUEST_ID_FIELD"]
        self.request_text_field = self.config["REQUEST_FIELD"]
        self._hidden_fields = set()
        self._atomic = {}  # {path: content of the file}, during loading

    def _get_load_and_unload_col(self, source):
        """Load the columns that are always needed, besides those in ``load_col``."""
        load_col, unload_col = super()._get_load_and_unload_col(source)
        if load_col is not None:
            if source == FeatureSource.INTERACTION:
                load_col = load_col | {
                    self.uid_field,
                    self.iid_field,
                    self.request_field,
                    self.time_field,
                }
            elif source == FeatureSource.ITEM:
                # The catalogue is all items with a text, even those without interactions.
                load_col = load_col | {self.iid_field}
        return load_col, unload_col

    def _load_feat(self, filepath, source):
        """Replace ``Dataset._load_feat``, whose reader interprets quotes and NA."""
        load_col, unload_col = self._get_load_and_unload_col(source)
        if load_col == set():
            return None
        frame, columns = self._read_once(filepath)
        keep = [
            field
            for field in columns
            if (load_col is None or field in load_col)
            and (unload_col is None or field not in unload_col)
        ]
        for field in (self.uid_field, self.iid_field):
            if source == FeatureSource.INTERACTION and field not in keep:
                raise UserError(
                    f"{filepath}, line 1: there is no column '{field}'; the columns "
                    f"are {', '.join(columns)}. Add it, or set USER_ID_FIELD and "
                    "ITEM_ID_FIELD to the names of your columns."
                )
        return pd.DataFrame(
            {
                field: self._read_column(
                    filepath, frame[field], field, FeatureType(columns[field]), source
                )
                for field in keep
            }
        )

    def _read_once(self, path):
        """Return an atomic file as :func:`read_atomic` does, but read each only once."""
        path = os.path.abspath(path)
        if path not in self._atomic:
            self._atomic[path] = read_atomic(
                path, self.config["field_separator"], self.config["encoding"] or "utf-8"
            )
            columns = self._atomic[path][1]
            check_roles(path, columns, self.config.final_config_dict)
        return self._atomic[path]

    def _text_file(self, suffix, id_field):
        path = self._file(suffix)
        return TextFile(path, id_field, *self._read_once(path))

    def _file(self, suffix):
        return os.path.join(self.config["data_path"], f"{self.dataset_name}.{suffix}")

    def _read_column(self, filepath, values, field, ftype, source):
        if field in (self.uid_field, self.iid_field, self.time_field):
            check_filled(filepath, values, field)
        if isinstance(source, FeatureSource) or source != "link":
            self.field2source[field] = source
            self.field2type[field] = ftype
        if "float" in ftype.value:
            self.field2bucketnum[field] = 2
        column, self.field2seqlen[field] = read_column(
            filepath,
            values,
            field,
            ftype.value,
            self.config["seq_separator"],
            (self.config["seq_len"] or {}).get(field),
        )
        return column

    def _load_data(self, token, dataset_path):
        super()._load_data(token, dataset_path)
        self.item_file = self.request_file = None
        self.composed_from = self.request_kind = None
        if os.path.isfile(self._file("item")):
            self.item_file = self._text_file("item", self.iid_field)
            self.item_text_columns = text_fields(
                self.item_file, self.iid_field, self.config["item_text_fields"]
            )
            self._check_item_texts()
        if os.path.isfile(self._file("request")):
            self._load_requests()
        else:
            self._compose_requests()
        self._atomic = {}

    def _check_item_texts(self):
        self._item_text = texts_of_items(
            self.item_file,
            self.item_text_columns,
            self.inter_feat[self.iid_field],
            self._file("inter"),
        )

    def _load_requests(self):
        file = self._text_file("request", self.request_field)
        file.require(self.request_text_field)
        if self.config["request_template"]:
            self.logger.warning(
                f"request_template is not used: {file.path} has the requests."
            )
        inter = self._file("inter")
        if self.request_field not in self.inter_feat:
            raise UserError(
                f"{inter}, line 1: there is no column '{self.request_field}', which "
                f"{file.path.name} needs; the columns are "
                f"{', '.join(self._read_once(inter)[1])}."
            )
        requests = self.inter_feat[self.request_field].dropna()
        if not len(requests):
            raise UserError(
                f"{inter}: the {self.request_field} of every line is empty, so there are "
                f"no queries. Fill in the ids of {file.path}."
            )
        if len(requests) < len(self.inter_feat):
            self.logger.info(
                f"{len(self.inter_feat) - len(requests)} interactions of "
                f"'{self.dataset_name}' have no request: they serve as history only, "
                "never as queries."
            )
        self._request_text = texts_of_requests(
            file, self.request_text_field, requests, inter
        )
        self.request_file = file
        self.composed_from, self.request_kind = origin(file.path)

    def _compose_requests(self):
        """Give each interaction its own request, composed from its item."""
        if self.item_file is None:
            raise UserError(
                f"{self._file('item')}: this file does not exist, but "
                f"request_template '{self.config['request_template']}' composes "
                "requests from its columns."
            )
        template = Template(
            self.config["request_template"],
            self.item_file.columns,
            self.item_file.path,
        )
        composed = {}
        for item in self.inter_feat[self.iid_field].unique():
            composed[item] = template.compose(self.item_file.frame.loc[item].to_dict())
            if not composed[item]:
                raise UserError(
                    f"{self.item_file.path}, line {self.item_file.line(item)}: "
                    f"request_template '{template.template}' composes no text for item "
                    f"'{item}'."
                )
        ids = (self.inter_feat.index + 2).astype(str)
        self.inter_feat[self.request_field] = ids
        self.set_field_property(
            self.request_field, FeatureType.TOKEN, FeatureSource.INTERACTION, 1
        )
        items = self.inter_feat[self.iid_field]
        self._request_text = {id_: composed[item] for id_, item in zip(ids, items)}
        self.composed_from = template.template

    def _data_processing(self):
        super()._data_processing()
        # Context models may use only features that are known when a request is made;
        # and the id of each request is new.
        known = {
            self.uid_field,
            self.iid_field,
            self.request_text_field,
            self.label_field,
            self.time_field,
        }
        self._hidden_fields = set(self.inter_feat.columns) - known
        for warning in revealed(
            self.dataset_name, self.composed_from, self.request_kind
        ):
            self.logger.warning(warning)

    def _remap_ID_all(self):
        super()._remap_ID_all()
        # plain strings take half the memory of numpy's; some fields share their tokens
        plain = {
            id(tokens): {token: n for n, token in enumerate(tokens.tolist())}
            for tokens in self.field2id_token.values()
        }
        for field, tokens in self.field2id_token.items():
            self.field2token_id[field] = plain[id(tokens)]
        tokens = self.field2id_token[self.request_field]
        texts = [self._request_text[token] for token in tokens[1:]]
        codes, distinct = pd.factorize(np.array(texts, dtype=object))
        self._text_of_request = np.concatenate([[0], codes + 1])
        self.set_field_property(
            self.request_text_field, FeatureType.TOKEN, FeatureSource.INTERACTION, 1
        )
        # an object array: a numpy str array makes every string as wide as the longest
        self.field2id_token[self.request_text_field] = np.array(
            ["[PAD]", *distinct], dtype=object
        )
        self.field2token_id[self.request_text_field] = {
            text: id_ for id_, text in enumerate(distinct, start=1)
        }
        self.inter_feat[self.request_text_field] = self._text_of_request[
            self.inter_feat[self.request_field]
        ]

    def fields(
        self,
        ftype: FeatureType | list[FeatureType] | None = None,
        source: FeatureSource | list[FeatureSource] | None = None,
    ) -> list[str]:
        return [
            field
            for field in super().fields(ftype, source)
            if field not in self._hidden_fields
        ]
