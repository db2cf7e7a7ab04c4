"""Splits a request-aware dataset, and finds the histories of its interactions."""

import numpy as np
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.data.interaction import Interaction
from recbole.utils import InputType, ModelType
from scipy.sparse import csr_matrix

from recbole_whisperlite.data import trained_on
from recbole_whisperlite.data.history import Histories
from recbole_whisperlite.data.incidence import incidence
from recbole_whisperlite.data.new_items import draw_new_items, without_new_items
from recbole_whisperlite.data.phases import PHASES, events, unasked_phases
from recbole_whisperlite.data.split import RequestTable, evaluated_phases
from recbole_whisperlite.errors import UserError


class RequestSplitting:
    """The part of :class:`RequestDatasetMixin` that splits requests into phases."""

    def build(self) -> list[Dataset]:
        """Split into train, valid and test so that no request is in two of them.

        Returns:
            list: Three datasets with :attr:`phase`, :attr:`held_out`, :attr:`known` and
            :attr:`seen`.
        """
        if isinstance(self, SequentialDataset):
            self._check_sequential()
        self._change_feat_format()
        has_request = self.inter_feat[self.request_field].numpy() > 0
        # the rows of inter_feat that are queries or are trained on
        used = has_request | ((self._phase == 0) & (not self.trains_on_requests_only))
        is_choice = (self._phase > 0) | ~self._is_disliked(self.inter_feat)
        if not self._learns_from_labels():
            used &= is_choice
        self._drop_unused_col()
        if not (self._phase[used] == 0).any():
            raise self._nothing_to_train_on()
        user, request, item, phase = self._raw
        self._check_evaluated()
        parts = []
        histories = self.histories()
        earlier = csr_matrix((self.user_num, self.item_num), dtype=bool)
        for number, name in enumerate(PHASES):
            rows = np.flatnonzero(used & (self._phase == number))
            part = self.copy(self.inter_feat[rows])
            part.phase, part.seen = name, earlier
            in_phase = phase == number
            answers = in_phase & (request > 0)
            part.held_out = user[answers], request[answers], item[answers]
            part.known = histories.begin[answers], histories.length[answers]
            known = self._known_from == number
            earlier = earlier + incidence(user[known], item[known], earlier.shape)
            parts.append(part)
        # counts are of all training interactions, whatever the loss is trained on
        if self.trains_on_requests_only:
            in_training = np.flatnonzero((self._phase == 0) & is_choice)
            parts[0].counted_feat = self.inter_feat[in_training]
        trained_on.keep(self.config, parts[0])
        return parts

    def _is_disliked(self, feat):
        """Which rows are below the ``threshold``, from which an interaction is a choice."""
        if not self.config["threshold"] or self.label_field not in feat:
            return np.zeros(len(feat), dtype=bool)
        return np.asarray(feat[self.label_field]) == 0

    def _learns_from_labels(self):
        """Whether rows below the threshold are the negatives that the model learns from."""
        return (
            self.config["MODEL_INPUT_TYPE"] == InputType.POINTWISE
            and self.config["MODEL_TYPE"] != ModelType.TRADITIONAL  # counts
            and self.config["loss_type"] != "CE"
            and self.config["train_neg_sample_args"]["distribution"] == "none"
        )

    def _nothing_to_train_on(self):
        new = self.config["new_items"]
        return UserError(
            f"Dataset '{self.dataset_name}' leaves no interaction to train on with "
            f"eval_args {self.config['eval_args']}{f' and new_items {new}' * bool(new)}: "
            f"none of {len(self.inter_feat)} interactions is in the training split and "
            "has a history, if the model needs one. Choose another split, or use more "
            "data."
        )

    def _check_evaluated(self):
        """Raise a UserError if a phase is to be evaluated and has no request."""
        files, args = self.benchmark_filename_list, self.config["eval_args"]
        wanted = {*PHASES[1 : len(files)]} if files else evaluated_phases(args)
        _, request, _, phase = self._raw
        asked = [(request[phase == number] > 0).any() for number in range(len(PHASES))]
        for name, has_requests in zip(PHASES, asked):
            if name in wanted and not has_requests:
                raise self._nothing_to_evaluate(name)

    def _nothing_to_evaluate(self, name):
        user, request, _, _ = self._raw
        pairs = np.unique(np.stack([user, request])[:, request > 0], axis=1)
        most = np.bincount(pairs[0], minlength=1).max()
        told = "validation" if name == "valid" else name
        start = f"Dataset '{self.dataset_name}' has no {told} requests: "
        if self.benchmark_filename_list is not None:
            file = self.benchmark_filename_list[PHASES.index(name)]
            return UserError(
                f"{start}no interaction in '{file}' (benchmark_filename) has one. Give "
                "the file requests, or let eval_args split one .inter file."
            )
        args = self.config["eval_args"]
        where = f"eval_args (split {args['split']}, group_by {args['group_by']}) leaves"
        reason = f"none of {len(pairs[0])} there."
        remedy = "Choose another split, or use more data."
        if self._by_user and most < len(PHASES):
            reason = f"none there, as no user has more than {most}."
            remedy = (
                "Split the requests of all users together, with split {'RS': [0.8, 0.1, "
                "0.1]}, group_by none, and order RO, or TO if the times of different "
                "users can be compared."
            )
            if name == "valid":
                remedy += " To do without validation, set split to {'LS': 'test_only'}."
        return UserError(f"{start}{where} {reason} {remedy}")

    @property
    def all_chosen_items(self) -> np.ndarray:
        """The item of every interaction in all phases, int64 ``[n_interactions]``."""
        return self._raw[2]

    def training_rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which interactions of each user are in the training part.

        Returns:
            tuple: Of each user, where they begin in :attr:`all_chosen_items` and their
            number, int64 ``[user_num]``; and the request of every interaction there, int64
            ``[n_interactions]``.
        """
        user, request, _, phase = self._raw
        number = np.bincount(user, minlength=self.user_num)
        in_training = np.bincount(user[phase == 0], minlength=self.user_num)
        return np.cumsum(number) - number, in_training, request

    def _benchmark_presets(self):
        """Called by RecBole's sequential datasets if there are ready-made splits."""
        raise UserError(
            "benchmark_filename cannot be used with sequential models on a dataset "
            "with requests: give one .inter file and let eval_args split it."
        )

    def _check_sequential(self):
        augments = [
            base
            for base in type(self).__mro__
            if "data_augmentation" in vars(base) and base is not RequestSplitting
        ]
        if augments[0] is not SequentialDataset:
            raise UserError(
                f"{self.config['model']} builds its own sequences "
                f"({augments[0].__name__}), which do not stop before the request. It "
                "cannot be used on a dataset with requests."
            )

    def _check_in_time(self, user, rank):
        """Raise a UserError if a user's rows, sorted by phase, are not in order of time.

        In a random order they are where each user has one request, as in a dialogue.
        """
        order = self.config["eval_args"]["order"]
        back = np.flatnonzero((user[1:] == user[:-1]) & (rank[1:] < rank[:-1]))
        if order == "TO" or not len(back) and self.time_field in self.inter_feat:
            return
        reason = ""
        if len(back):
            token = self.field2id_token[self.uid_field][user[back[0]]]
            reason = f", and interactions of user '{token}' would be in another one"
        raise UserError(
            "Sequential models need interactions in order of time: in eval_args, set "
            f"order to TO (it is {order}{reason})."
        )

    def _change_feat_format(self):
        """Sort by user and time of the request, store each row's phase, and convert."""
        frame, request = self.inter_feat, self.request_field
        rank, known_from = self._order_and_split(frame)
        kept, phase = self._leave_out_new_items(frame, rank, known_from)
        # training first: even if the split is not by time, held-out rows must not be in the
        # history of training rows
        by_user = np.lexsort((rank, phase, frame[self.uid_field]))
        by_user = by_user[(kept & (known_from < len(PHASES)))[by_user]]
        self.inter_feat = frame = frame.iloc[by_user].reset_index(drop=True)
        self._phase, self._known_from = phase[by_user], known_from[by_user]
        if isinstance(self, SequentialDataset) and self.benchmark_filename_list is None:
            self._check_in_time(frame[self.uid_field].to_numpy(), rank[by_user])
        # What the user disliked answers no request. It remains what is known of the user.
        ranks = np.array(
            [
                False,
                *(self.config["eval_args"]["mode"][p] != "labeled" for p in PHASES[1:]),
            ]
        )
        unanswered = self._is_disliked(frame) & ranks[self._phase]
        frame.loc[unanswered, [request, self.request_text_field]] = 0
        training = (self._phase == 0) & (frame[request] > 0)
        self._training_texts = np.unique(frame[self.request_text_field][training])
        if self.config["MODEL_TYPE"] == ModelType.CONTEXT:
            # To a context model a request is a category: one that is not in training
            # would be scored by an embedding that is still random.
            known = frame[self.request_text_field].isin(self._training_texts)
            frame[self.request_text_field] = frame[self.request_text_field].where(
                known, 0
            )
        self._raw = tuple(
            frame[field].to_numpy(np.int64, copy=True)
            for field in (self.uid_field, request, self.iid_field)
        ) + (self._phase,)
        super()._change_feat_format()

    def _leave_out_new_items(self, frame, rank, phase):
        """Return which rows are kept and their phases, as :func:`without_new_items`."""
        self.new_items = draw_new_items(
            self.field2id_token[self.iid_field],
            self.config["new_items"] or 0,
            self.config["seed"],
        )
        if not self.new_items.any():
            return np.ones(len(frame), dtype=bool), phase
        fields = self.uid_field, self.request_field, self.iid_field
        user, request, item = (frame[field].to_numpy(np.int64) for field in fields)
        in_time = self.config["eval_args"]["order"] == "TO"
        kept, phase = without_new_items(
            user,
            request,
            rank,
            phase,
            self.new_items[item],
            in_time or self.benchmark_filename_list is not None,
        )
        if not (phase[kept] == 0).any():
            raise self._nothing_to_train_on()
        self.logger.info(
            f"{self.new_items.sum()} of {self.item_num - 1} items are new (new_items): "
            f"{np.count_nonzero(~kept)} training interactions are left out."
        )
        return kept, phase

    def _order_and_split(self, frame):
        """Return the rank in time and the phase of each row, both int64 ``[n_rows]``.

        Rows of one request share both. For rows without a request see
        :func:`unasked_phases`.
        """
        n_requests = self.num(self.request_field)
        event = events(frame[self.request_field].to_numpy(), n_requests)
        ids, first = np.unique(event, return_index=True)
        user = frame[self.uid_field].to_numpy(np.int64)[first]
        time = first.astype(np.float64)
        has_time = self.time_field in frame
        if has_time:
            earliest = np.full(event.max() + 1, np.inf)
            np.minimum.at(earliest, event, frame[self.time_field].to_numpy(np.float64))
            time = earliest[ids]
        if not has_time and self.config["eval_args"]["order"] == "TO":
            raise UserError(
                f"{self._file('inter')}, line 1: order TO in eval_args needs a column "
                f"'{self.time_field}:float'. Add it, set TIME_FIELD to the name of yours, "
                "or set order to RO."
            )
        is_request = ids < n_requests
        # Events at the same time stay in the order of the file, except that requests come
        # first: only what is earlier than a request is its history.
        by_time = np.lexsort((first, ~is_request, time))
        rank, phase = np.zeros((2, len(ids)), dtype=np.int64)
        rank[by_time] = np.arange(len(ids))
        if self.benchmark_filename_list is not None:
            file = np.repeat(np.arange(len(self.file_size_list)), self.file_size_list)
            phase = file[first]
            if (self.config["folds"] or 1) != 1:
                raise UserError(
                    f"folds is {self.config['folds']}, but benchmark_filename gives the "
                    "split. Set folds to 1, or let eval_args split one .inter file."
                )
            self._check_benchmark(frame[self.request_field].to_numpy(), file)
        else:
            self._check_sharing(frame)
            requests = by_time[is_request[by_time]]
            table = RequestTable(self.config, user[requests], time[requests])
            phase[requests] = table.phases()
            if self.config["eval_args"]["order"] == "TO":
                n_users = self.user_num if self._by_user else None
                phase[~is_request] = unasked_phases(
                    user, time, is_request, phase, n_users
                )
        row = np.searchsorted(ids, event)
        return rank[row], phase[row]

    @property
    def _by_user(self):
        """Whether each user's requests are split separately."""
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
                "a request belong in one file."
            )

    def _check_sharing(self, frame):
        """Raise a UserError if users share a request and the split is by user."""
        args = self.config["eval_args"]
        with_request = frame[frame[self.request_field] > 0]
        users = with_request.groupby(self.request_field)[self.uid_field].nunique()
        if self._by_user and (users > 1).any():
            token = self.field2id_token[self.request_field][users.idxmax()]
            raise UserError(
                f"{self._file('inter')}: the request '{token}' is shared by "
                f"{users.max()} users, but eval_args {args['split']} splits each user's "
                f"requests separately. Give each user's request its own "
                f"{self.request_field}, or split by {{'RS': [0.8, 0.1, 0.1]}} with "
                "group_by none."
            )

    @property
    def text_of_request(self) -> np.ndarray:
        """The id of the text of each request, int64 ``[num(request_field)]``."""
        return self._text_of_request

    def seen_counts(self) -> np.ndarray:
        """Return the number of interactions of each user before this dataset's phase.

        Returns:
            numpy.ndarray: int64 ``[user_num]``.
        """
        earlier = self._raw[0][self._known_from < PHASES.index(self.phase)]
        return np.bincount(earlier, minlength=self.user_num)

    def histories(self, max_length: int | None = None) -> Histories:
        """Return what is known of the user when each interaction's request is made.

        ``known_at_test`` says how much: ``before_request`` all earlier interactions;
        ``train`` those of the training part only, also to requests of later phases.

        Args:
            max_length (int, optional): The number of latest items. Default: all.

        Returns:
            Histories: Of the interactions of all phases, as in :attr:`all_chosen_items`.
        """
        user, request, _, phase = self._raw
        known = None
        if self.config["known_at_test"] == "train":
            known = self._known_from == 0
        return Histories(user, request, max_length or len(user), known)

    def all_histories(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the items of each user in all phases, oldest first.

        Returns:
            tuple: Where each user's items begin, int64 ``[user_num + 1]``, and items,
            int64 ``[n_interactions]``.
        """
        user, _, item, _ = self._raw
        counts = np.bincount(user, minlength=self.user_num)
        return np.concatenate([[0], np.cumsum(counts)]), item

    def training_counts(self) -> np.ndarray:
        """Return each item's number of interactions in training, int64 ``[item_num]``."""
        _, _, item, phase = self._raw
        return np.bincount(item[phase == 0], minlength=self.item_num)

    def training_text_counts(self) -> np.ndarray:
        """Return how many training interactions asked each text.

        Returns:
            numpy.ndarray: int64, by id of the text as in :attr:`text_of_request`.
        """
        _, request, _, phase = self._raw
        text = self._text_of_request[request[phase == 0]]
        return np.bincount(text, minlength=len(self.request_texts))

    def training_choices(self) -> trained_on.Choices:
        """Return the positives that counts are made of.

        Those of this dataset, which is the training part; or, if the config comes from a
        checkpoint, those that its model was trained on.
        """
        return trained_on.choices(self)

    def data_augmentation(self) -> None:
        """Add to each row the user's items before its request, as :meth:`histories` says.

        This differs from ``SequentialDataset.data_augmentation`` in two ways. A history
        ends where the request begins, not at the preceding item: items of one request are
        chosen together. And in evaluation a request without history is kept, with one
        padding item, because every model gets the same queries. Training rows without
        history are dropped as there.
        """
        self._aug_presets()
        feat = self.inter_feat
        histories = self.histories(self.config["MAX_ITEM_LIST_LENGTH"])
        has_request = feat[self.request_field].numpy() > 0
        keep = np.flatnonzero(
            np.where(self._phase > 0, has_request, histories.length > 0)
        )
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
