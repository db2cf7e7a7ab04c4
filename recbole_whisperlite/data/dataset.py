"""Request-aware datasets: any RecBole dataset class, plus requests.

A folder with a ``<name>.request`` file, or a ``request_template``, makes every
interaction answer a request. Texts stay in side tables; interactions carry two ids:
``request_id`` (one asking) and ``request`` (its text, shared by all who ask the same).

A line of ``.inter`` whose ``request_id`` is empty is a choice without a request: both ids
are 0. It is history for what the user asks later, and never a unit to be ranked.
"""

import json
import os
import sys
import time

import numpy as np
import pandas as pd
import torch
from recbole.data import dataset as recbole_datasets
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType, ModelType
from scipy.sparse import csr_matrix

from recbole_whisperlite.data.atomic import read_atomic, read_header
from recbole_whisperlite.data.columns import check_filled, parse_column
from recbole_whisperlite.data.history import Histories
from recbole_whisperlite.data.images import image_vectors
from recbole_whisperlite.data.refusals import split_refusals
from recbole_whisperlite.data.ruled_out import ruled_out_items
from recbole_whisperlite.data.split import (
    PHASES,
    RequestTable,
    events,
    unasked_phases,
)
from recbole_whisperlite.data.texts import (
    Template,
    TextFile,
    join_fields,
    text_fields,
)
from recbole_whisperlite.data.units import incidence, make_units
from recbole_whisperlite.encoder import encode
from recbole_whisperlite.encoder.options import each_encoder
from recbole_whisperlite.errors import UserError


def has_requests(config):
    """Tell whether the dataset that ``config`` names is request-aware.

    Args:
        config (Config): With ``data_path`` (the dataset's own folder), ``dataset`` and
            ``request_template``.
    """
    return bool(config["request_template"]) or os.path.isfile(_file(config, "request"))


def _file(config, suffix):
    return os.path.join(config["data_path"], f"{config['dataset']}.{suffix}")


class RequestDatasetMixin:
    """What a request adds to a RecBole dataset class (put it before that class).

    Attributes:
        request_field (str): ``config["REQUEST_ID_FIELD"]``; its ids number askings.
        request_text_field (str): ``config["REQUEST_FIELD"]``; its ids number distinct
            request texts.
        request_texts (list of str): Text by id of ``request_text_field``; 0 is padding.
        item_texts (list of str): Text by item id; 0 is padding.
        composed_from (str or None): The template, where requests are composed from
            columns of the chosen item and so carry attributes of the target.
        request_kind (str or None): What ``.request.json`` says that requests are:
            ``review`` (of the chosen item, which it may name) or ``tag``.
        units (Units): In the valid and test datasets made by :meth:`build`: the exam.
        phase (str): In a dataset made by :meth:`build`: train, valid or test.
    """

    #: Whether choices without a request are left out of the training part. They stay
    #: history, and items that the user had.
    trains_on_requests_only = False
    #: Fields that say which rows are the history of an interaction.
    history_fields = ()

    # ------------------------------------------------------------------ loading

    def _get_field_from_config(self):
        super()._get_field_from_config()
        self.request_field = self.config["REQUEST_ID_FIELD"]
        self.request_text_field = self.config["REQUEST_FIELD"]
        self._hidden_fields = set()
        self._vectors = {}
        self.encode_seconds = {"request": 0.0, "item": 0.0, "image": 0.0}

    def _get_load_and_unload_col(self, source):
        """Load what the contract needs beside what the user's ``load_col`` names."""
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
                # The catalogue is every item with a text, bought or not.
                load_col = load_col | {self.iid_field}
        return load_col, unload_col

    def _load_feat(self, filepath, source):
        """Replace ``Dataset._load_feat``, whose reader interprets quotes and NA."""
        load_col, unload_col = self._get_load_and_unload_col(source)
        if load_col == set():
            return None
        frame, columns = read_atomic(
            filepath,
            self.config["field_separator"],
            self.config["encoding"] or "utf-8",
        )
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
                    f"are {', '.join(columns)}. Add it, or name yours with the "
                    "settings USER_ID_FIELD and ITEM_ID_FIELD."
                )
        return pd.DataFrame(
            {
                field: self._read_column(
                    filepath, frame[field], field, FeatureType(columns[field]), source
                )
                for field in keep
            }
        )

    def _read_column(self, filepath, values, field, ftype, source):
        if field in (self.uid_field, self.iid_field, self.time_field):
            check_filled(filepath, values, field)
        if isinstance(source, FeatureSource) or source != "link":
            self.field2source[field] = source
            self.field2type[field] = ftype
        if "float" in ftype.value:
            self.field2bucketnum[field] = 2
        try:
            column, self.field2seqlen[field] = parse_column(
                values,
                ftype,
                self.config["seq_separator"],
                (self.config["seq_len"] or {}).get(field),
            )
        except ValueError as error:
            row = error.args[0]
            raise UserError(
                f"{filepath}, line {row + 2}: the {field} '{values[row]}' is not a "
                f"number, but the header says {field}:{ftype.value}."
            ) from None
        return column

    def _load_data(self, token, dataset_path):
        super()._load_data(token, dataset_path)
        self._item_file = self._request_file = None
        self.composed_from = self.request_kind = None
        if os.path.isfile(_file(self.config, "item")):
            self._item_file = TextFile(
                _file(self.config, "item"), self.iid_field, self.config
            )
            self._item_text_fields = text_fields(
                self._item_file, self.iid_field, self.config["item_text_fields"]
            )
            self._check_item_texts()
        if os.path.isfile(_file(self.config, "request")):
            self._load_requests()
        else:
            self._compose_requests()

    def _check_item_texts(self):
        used = set(self.inter_feat[self.iid_field])
        for item in self.inter_feat[self.iid_field].drop_duplicates():
            if item not in self._item_file:
                line = self.inter_feat.index[self.inter_feat[self.iid_field] == item][0]
                raise UserError(
                    f"{_file(self.config, 'inter')}, line {line + 2}: the item "
                    f"'{item}' is not in {self._item_file.path}. Add its line there, or "
                    "remove its interactions."
                )
        self._item_text = {
            id_: join_fields(values)
            for id_, *values in self._item_file.frame[
                [self.iid_field, *self._item_text_fields]
            ].itertuples(index=False)
        }
        for item, text in self._item_text.items():
            if not text and item in used:
                raise UserError(
                    f"{self._item_file.path}, line {self._item_file.line(item)}: the "
                    f"item '{item}' has no text: {', '.join(self._item_text_fields)} "
                    "are empty. Fill one, or choose columns with item_text_fields."
                )

    def _load_requests(self):
        file = TextFile(_file(self.config, "request"), self.request_field, self.config)
        file.require(self.request_text_field)
        if self.config["request_template"]:
            self.logger.warning(
                f"request_template is not used: {file.path} has the requests."
            )
        inter = _file(self.config, "inter")
        if self.request_field not in self.inter_feat:
            raise UserError(
                f"{inter}, line 1: there is no column '{self.request_field}', which "
                f"{file.path.name} needs; the columns are "
                f"{', '.join(read_header(inter, self.config['field_separator']))}."
            )
        asked = self.inter_feat[self.request_field].dropna()
        if not len(asked):
            raise UserError(
                f"{inter}: the {self.request_field} of every line is empty, so there is "
                f"no request. Name those of {file.path} there."
            )
        if len(asked) < len(self.inter_feat):
            self.logger.info(
                f"{len(self.inter_feat) - len(asked)} choices of '{self.dataset_name}' "
                "have no request: they are history, and are never asked."
            )
        for row, id_ in asked.drop_duplicates().items():
            if id_ not in file:
                raise UserError(
                    f"{inter}, line {row + 2}: the {self.request_field} '{id_}' is not "
                    f"in {file.path}. Add its text there, or remove the interaction."
                )
            if not file.frame.at[id_, self.request_text_field].strip():
                raise UserError(
                    f"{file.path}, line {file.line(id_)}: the request '{id_}' has no "
                    "text. Write it, or remove the request and its interactions."
                )
        self._request_text = file.frame[self.request_text_field].to_dict()
        self._request_file = file
        about = f"{file.path}.json"
        if os.path.isfile(about):
            with open(about, encoding="utf-8") as stream:
                about = json.load(stream)
            if about.get("composed"):
                self.composed_from = about.get("template")
            self.request_kind = about.get("kind")

    def _compose_requests(self):
        """Make each interaction a request of its own, composed from its item."""
        if not self.config["request_template"]:
            raise UserError(
                f"{_file(self.config, 'request')}: this file does not exist, and "
                f"without it dataset '{self.dataset_name}' has no requests. Write it "
                f"(columns {self.request_field}:token, {self.request_text_field}:token)"
                f" and name the {self.request_field} in the .inter file, or compose "
                "requests from item columns with request_template."
            )
        if self._item_file is None:
            raise UserError(
                f"{_file(self.config, 'item')}: this file does not exist, but "
                f"request_template '{self.config['request_template']}' composes "
                "requests from its columns."
            )
        template = Template(
            self.config["request_template"],
            self._item_file.columns,
            self._item_file.path,
        )
        composed = {}
        for item in self.inter_feat[self.iid_field].unique():
            composed[item] = template.compose(self._item_file.frame.loc[item].to_dict())
            if not composed[item]:
                raise UserError(
                    f"{self._item_file.path}, line {self._item_file.line(item)}: "
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
        # Only what is known when a request is made may be a feature of context models;
        # the id of an asking is a new one every time.
        known = {
            self.uid_field,
            self.iid_field,
            self.request_text_field,
            self.label_field,
            self.time_field,
        }
        self._hidden_fields = set(self.inter_feat.columns) - known
        if self.composed_from:
            self.logger.warning(
                f"Requests of '{self.dataset_name}' are composed from columns of the "
                f"chosen item ({self.composed_from}): they carry attributes of the "
                "target, and every result on them must say so."
            )
        if self.request_kind == "review":
            self.logger.warning(
                f"Requests of '{self.dataset_name}' are reviews of the chosen item, "
                "written after the choice: they may name it, and every result on them "
                "must say so."
            )

    def _remap_ID_all(self):
        super()._remap_ID_all()
        tokens = self.field2id_token[self.request_field]
        texts = [self._request_text[token] for token in tokens[1:]]
        codes, distinct = pd.factorize(np.array(texts, dtype=object))
        self._text_of_request = np.concatenate([[0], codes + 1])
        self.set_field_property(
            self.request_text_field, FeatureType.TOKEN, FeatureSource.INTERACTION, 1
        )
        # an object array: numpy's own strings are all as wide as the longest request
        self.field2id_token[self.request_text_field] = np.array(
            ["[PAD]", *distinct], dtype=object
        )
        self.field2token_id[self.request_text_field] = {
            text: id_ for id_, text in enumerate(distinct, start=1)
        }
        self.inter_feat[self.request_text_field] = self._text_of_request[
            self.inter_feat[self.request_field]
        ]

    def fields(self, ftype=None, source=None):
        return [
            field
            for field in super().fields(ftype, source)
            if field not in self._hidden_fields
        ]

    # -------------------------------------------------------------------- texts

    @property
    def request_texts(self):
        return ["", *self.field2id_token[self.request_text_field][1:]]

    @property
    def item_texts(self):
        if self._item_file is None:
            raise UserError(
                f"{_file(self.config, 'item')}: this file does not exist, so the items "
                f"of '{self.dataset_name}' have no texts. Write it: "
                f"{self.iid_field}:token and text columns such as title:token."
            )
        return ["", *(self._item_text[id_] for id_ in self._item_tokens()[1:])]

    def _item_tokens(self):
        return self.field2id_token[self.iid_field]

    def request_vectors(self):
        """Return the frozen vectors of the distinct request texts.

        Returns:
            numpy.ndarray: float32 ``[num(request_text_field), dim]``; row 0 is zero.
        """
        # Any asking with this text names it for the precomputed encoder.
        first = np.unique(self._text_of_request, return_index=True)[1]
        ids = self.field2id_token[self.request_field][first]
        return self._encode("request", self.request_texts, ids)

    def wish_and_refusal_vectors(self):
        """Return the frozen vectors of what requests ask for and of what they rule out.

        Returns:
            tuple: Twice float32 ``[num(request_text_field), dim]``; zero where a request
            has no such part. Reviews, which are written after the choice, rule nothing
            out, and precomputed vectors are of whole requests.
        """
        encoders = [each["encoder"] for each in each_encoder(self.config)]
        if self.request_kind == "review" or "precomputed" in encoders:
            vectors = self.request_vectors()
            return vectors, np.zeros_like(vectors)
        parts = list(zip(*map(split_refusals, self.request_texts)))
        texts = ["", *sorted(set().union(*parts) - {""})]
        vectors = self._encode("request part", texts, texts)
        row = {text: row for row, text in enumerate(texts)}
        return tuple(vectors[[row[text] for text in part]] for part in parts)

    def item_vectors(self):
        """Return the frozen vectors of the item texts.

        Returns:
            numpy.ndarray: float32 ``[item_num, dim]``; row 0 is zero.
        """
        return self._encode("item", self.item_texts, self._item_tokens())

    def item_image_vectors(self):
        """Return the frozen vectors of the items' pictures.

        Returns:
            tuple: float32 ``[item_num, dim]``, zero where an item has no picture, and
            bool ``[item_num]``, whether it has one.

        Raises:
            UserError: If no item has a picture, the encoder sees none, or one is
                broken or missing where ``missing_image`` is ``error``.
        """
        if "image" not in self._vectors:
            start = time.time()
            self._vectors["image"] = image_vectors(
                self.config, self._item_file, self._item_tokens()
            )
            self.encode_seconds["image"] = time.time() - start
        return self._vectors["image"]

    def _encode(self, side, texts, ids):
        if side not in self._vectors:
            start = time.time()
            vectors = encode(
                self.config,
                texts[1:],
                ids=[str(id_) for id_ in ids[1:]],
                side=side,
                fit_texts=self._fit_texts,
            )
            self._vectors[side] = np.zeros(
                (len(texts), vectors.shape[1]), dtype=np.float32
            )
            self._vectors[side][1:] = vectors
            self.encode_seconds[side] = time.time() - start
        return self._vectors[side]

    @property
    def _fit_texts(self):
        """What a fitted encoder may learn from: the catalogue and training requests."""
        texts = self.request_texts
        return self.item_texts[1:] + [texts[id_] for id_ in self._training_texts]

    def ruled_out_items(self):
        """Return the items that each request rules out, for the metric Violation.

        Returns:
            scipy.sparse.csr_matrix: bool ``[num(request_field), item_num]``.
        """
        return ruled_out_items(
            self._request_file,
            self._item_file,
            self.field2id_token[self.request_field],
            self._item_tokens(),
            self.config["seq_separator"],
        )

    # ---------------------------------------------------------------- splitting

    def build(self):
        """Split into train, valid and test so that no request falls into two of them.

        Returns:
            list: Three datasets with :attr:`phase` and :attr:`units`.
        """
        if isinstance(self, SequentialDataset):
            self._check_sequential()
        self._change_feat_format()
        asked = self.inter_feat[self.request_field].numpy() > 0
        # of the rows in inter_feat: those that are asked, or trained on
        used = asked | ((self._phase == 0) & (not self.trains_on_requests_only))
        self._drop_unused_col()
        if not (self._phase[used] == 0).any():
            raise UserError(
                f"Dataset '{self.dataset_name}' leaves no interaction to train on with "
                f"eval_args {self.config['eval_args']}: of {len(self._raw[0])} "
                "interactions none is in the training split with a history where the "
                "model needs one. Choose another split, or more data."
            )
        user, request, item, phase = self._raw
        parts = []
        earlier = csr_matrix((self.user_num, self.item_num), dtype=bool)
        for number, name in enumerate(PHASES):
            rows = np.flatnonzero(used & (self._phase == number))
            part = self.copy(self.inter_feat[rows])
            part.phase = name
            had = phase == number
            if number > 0:
                raw = had & (request > 0)
                part.units = make_units(user[raw], request[raw], item[raw], earlier)
            earlier = earlier + incidence(user[had], item[had], earlier.shape)
            parts.append(part)
        return parts

    @property
    def all_chosen_items(self):
        """Item of every interaction of all phases, int64 ``[n_interactions]``."""
        return self._raw[2]

    def _check_sequential(self):
        if self.config["eval_args"]["order"] != "TO":
            raise UserError(
                f"Sequential models need interactions in order of time: set eval_args' "
                f"order to TO (it is {self.config['eval_args']['order']})."
            )
        if self.config["benchmark_filename"] is not None:
            raise UserError(
                "benchmark_filename cannot be used with sequential models on a dataset "
                "with requests: give one .inter file and let eval_args split it."
            )
        augments = [
            base
            for base in type(self).__mro__
            if "data_augmentation" in vars(base) and base is not RequestDatasetMixin
        ]
        if augments[0] is not SequentialDataset:
            raise UserError(
                f"{self.config['model']} builds sequences of its own "
                f"({augments[0].__name__}), which do not stop before the request. It "
                "cannot be used on a dataset with requests."
            )

    def _change_feat_format(self):
        """Sort by user and time of the request, note each row's phase, convert."""
        frame, request = self.inter_feat, self.request_field
        rank, phase = self._order_and_split(frame)
        # training first: where the split is not by time, too, what is held out must not be
        # history of what is trained on
        by_user = np.lexsort((rank, phase, frame[self.uid_field]))
        self.inter_feat = frame = frame.iloc[by_user].reset_index(drop=True)
        self._phase = phase[by_user]
        training = (self._phase == 0) & (frame[request] > 0)
        self._training_texts = np.unique(frame[self.request_text_field][training])
        if self.config["MODEL_TYPE"] == ModelType.CONTEXT:
            # To a context model a request is a category: one never seen in training
            # would be scored by an embedding that is still random.
            seen = frame[self.request_text_field].isin(self._training_texts)
            frame[self.request_text_field] = frame[self.request_text_field].where(
                seen, 0
            )
        self._raw = tuple(
            frame[field].to_numpy(np.int64, copy=True)
            for field in (self.uid_field, request, self.iid_field)
        ) + (self._phase,)
        super()._change_feat_format()

    def _order_and_split(self, frame):
        """Return rank in time and phase of each row, both int64 ``[n_rows]``.

        Rows of one request share them. Of a row without request see :func:`unasked_phases`.
        """
        n_requests = self.num(self.request_field)
        event = events(frame[self.request_field].to_numpy(), n_requests)
        ids, first = np.unique(event, return_index=True)
        user = frame[self.uid_field].to_numpy(np.int64)[first]
        when = first.astype(np.float64)
        timed = self.time_field in frame
        if timed:
            earliest = np.full(event.max() + 1, np.inf)
            np.minimum.at(earliest, event, frame[self.time_field].to_numpy(np.float64))
            when = earliest[ids]
        if not timed and self.config["eval_args"]["order"] == "TO":
            raise UserError(
                f"{_file(self.config, 'inter')}, line 1: eval_args' order TO needs a "
                f"column '{self.time_field}:float'. Add it, name yours with TIME_FIELD, "
                "or set order to RO."
            )
        asked = ids < n_requests
        # Events of the same time stay in the order of the file; but only what is earlier
        # than a request is its history.
        by_time = np.lexsort((first, ~asked, when))
        rank, phase = np.zeros((2, len(ids)), dtype=np.int64)
        rank[by_time] = np.arange(len(ids))
        if self.benchmark_filename_list is not None:
            file = np.repeat(np.arange(len(self.file_size_list)), self.file_size_list)
            phase = file[first]
            self._check_benchmark(frame[self.request_field].to_numpy(), file)
        else:
            self._check_sharing(frame)
            requests = by_time[asked[by_time]]
            table = RequestTable(self.config, user[requests], when[requests])
            phase[requests] = table.phases()
            if self.config["eval_args"]["order"] == "TO":
                phase[~asked] = unasked_phases(
                    user, when, asked, phase, self.user_num if self._by_user else None
                )
        row = np.searchsorted(ids, event)
        return rank[row], phase[row]

    @property
    def _by_user(self):
        """Whether each user's requests are split for themselves."""
        args = self.config["eval_args"]
        return "RS" not in args["split"] or str(args["group_by"]).lower() == "user"

    def _check_benchmark(self, request, file):
        ids, first = np.unique(request, return_index=True)
        file_of_request = file[first][np.searchsorted(ids, request)]
        split = np.flatnonzero((file != file_of_request) & (request > 0))
        if len(split):
            token = self.field2id_token[self.request_field][request[split[0]]]
            raise UserError(
                f"benchmark_filename: the request '{token}' has interactions in "
                f"'{self.benchmark_filename_list[file_of_request[split[0]]]}' and in "
                f"'{self.benchmark_filename_list[file[split[0]]]}'. All interactions of "
                "a request belong into one file."
            )

    def _check_sharing(self, frame):
        """A request that two users share has no place in a split by user."""
        args = self.config["eval_args"]
        asked = frame[frame[self.request_field] > 0]
        users = asked.groupby(self.request_field)[self.uid_field].nunique()
        if self._by_user and (users > 1).any():
            token = self.field2id_token[self.request_field][users.idxmax()]
            raise UserError(
                f"{_file(self.config, 'inter')}: the request '{token}' is shared by "
                f"{users.max()} users, but eval_args {args['split']} splits each "
                f"user's requests. Give every asking its own {self.request_field}, or "
                "split by {'RS': [0.8, 0.1, 0.1]} with group_by none."
            )

    # ------------------------------------------------------------- sequences

    def data_augmentation(self):
        """Give every row the user's items before its request.

        Differs from ``SequentialDataset.data_augmentation`` in two ways: a history ends
        where the request begins, not at the item before (items of one request are
        chosen together), and in evaluation a request without history stays, with one
        padding item, because every model is asked the same requests. Training rows
        without history are dropped as there.
        """
        self._aug_presets()
        feat = self.inter_feat
        histories = Histories(
            feat[self.uid_field].numpy(),
            feat[self.request_field].numpy(),
            self.config["MAX_ITEM_LIST_LENGTH"],
        )
        asked = feat[self.request_field].numpy() > 0
        keep = np.flatnonzero(np.where(self._phase > 0, asked, histories.length > 0))
        lists = {
            self.item_list_length_field: torch.from_numpy(
                np.maximum(histories.length[keep], 1)
            )
        }
        for field in feat:
            if field not in (self.uid_field, self.request_field):
                list_field = getattr(self, f"{field}_list_field")
                lists[list_field] = histories.gather(keep, feat[field])
        self.inter_feat = feat[keep]
        self.inter_feat.update(Interaction(lists))
        self._phase = self._phase[keep]


class WhisperDataset(RequestDatasetMixin, Dataset):
    """The dataset of Whisper, found by RecBole under ``<Model>Dataset``."""

    trains_on_requests_only = True


class WhisperLiteDataset(WhisperDataset):
    """The dataset of WhisperLite: each row knows what its user had before the request.

    Attributes:
        history_items (torch.Tensor): The item of every row, sorted by user and time, int64
            ``[n_rows]``. The history of an interaction are the ``history_length`` items
            from ``history_begin``, two fields that it has.
    """

    history_fields = ("history_begin", "history_length")

    def _change_feat_format(self):
        super()._change_feat_format()
        user, request, item, _ = self._raw
        histories = Histories(user, request, self.config["MAX_ITEM_LIST_LENGTH"])
        self.history_items = torch.from_numpy(item)
        values = torch.from_numpy(histories.begin), torch.from_numpy(histories.length)
        self.inter_feat.update(Interaction(dict(zip(self.history_fields, values))))


def request_aware(dataset_class):
    """Return ``dataset_class`` with requests, as a class that can be pickled.

    Args:
        dataset_class (type): A RecBole dataset class.
    """
    if issubclass(dataset_class, RequestDatasetMixin):
        return dataset_class
    qualified = f"Request{dataset_class.__name__}"
    module = sys.modules[__name__]
    if qualified not in vars(module):
        # create_dataset looks for a saved dataset under the name of the class that it
        # asked for; pickle goes by the qualified name.
        made = type(
            dataset_class.__name__,
            (RequestDatasetMixin, dataset_class),
            {"__module__": __name__, "__qualname__": qualified},
        )
        setattr(module, qualified, made)
    return vars(module)[qualified]


def __getattr__(name):
    """Find the class of a pickled dataset in a process that has not made it yet."""
    base = name.removeprefix("Request")
    if base != name and hasattr(recbole_datasets, base):
        return request_aware(getattr(recbole_datasets, base))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
