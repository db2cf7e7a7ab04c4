"""Request-aware datasets: any RecBole dataset class, plus requests.

If the folder has a file ``<name>.request``, or a ``request_template`` is set, every
interaction answers a request. Texts are kept in side tables; interactions have two ids:
``request_id`` (one request) and ``request`` (its text, shared by all requests with the
same text).

A line of ``.inter`` whose ``request_id`` is empty is an interaction without a request:
both ids are 0. It is history for later requests of the user, and never a query.
"""

import sys

import torch
from recbole.data import dataset as recbole_datasets
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction

from recbole_whisperlite.data.history import KNOWN_FIELDS
from recbole_whisperlite.data.reading import RequestReading
from recbole_whisperlite.data.splitting import RequestSplitting
from recbole_whisperlite.data.vectors import RequestVectors
from recbole_whisperlite.data.whisperlite_dataset import WhisperLiteDataset
from recbole_whisperlite.errors import UserError

# The packages whose ways of building a dataset's parts are known.
_KNOWN = "recbole", "recbole_whisperlite"


class RequestDatasetMixin(RequestReading, RequestVectors, RequestSplitting):
    """Adds requests to a RecBole dataset class (list it before that class).

    Attributes:
        request_field (str): ``config["REQUEST_ID_FIELD"]``, whose ids number requests.
        request_text_field (str): ``config["REQUEST_FIELD"]``, whose ids number distinct
            request texts.
        request_texts (list of str): Text by id of ``request_text_field``; 0 is padding.
        item_texts (list of str): Text by item id; 0 is padding.
        item_text_columns (list of str): The columns of ``.item`` that make up the text.
        composed_from (str or None): The template, if requests are composed from columns
            of the target item and so reveal its attributes.
        request_kind (str or None): The kind of requests according to ``.request.json``:
            ``review`` (of the target item, which it may name) or ``tag``.
        phase (str): In a dataset made by :meth:`build`: train, valid or test.
        held_out (tuple): In such a dataset: user, request and item of the phase's
            interactions that have a request, int64 ``[n]`` each.
        known (tuple): In such a dataset, for the same interactions: where the user's items
            that are known at the request begin in :attr:`all_chosen_items`, oldest first,
            and how many they are, int64 ``[n]`` each. They do not depend on the model.
        seen (scipy.sparse.csr_matrix): In such a dataset: the items that each user has
            interacted with before the phase, bool ``[user_num, item_num]``.
        new_items (numpy.ndarray): In such a dataset: the items that are in no training
            part (setting ``new_items``), bool ``[item_num]``.
    """

    #: Whether interactions without a request are left out of the training part. They
    #: remain history, and items that the user has seen.
    trains_on_requests_only = False
    #: The fields that say which rows are the history of an interaction.
    history_fields = ()
    #: The fields of a query that say what is known of its user, whatever the model.
    known_fields = KNOWN_FIELDS


class WhisperDataset(RequestDatasetMixin, Dataset):
    """The dataset of Whisper, found by RecBole under ``<Model>Dataset``."""

    trains_on_requests_only = True


class RequestWhisperLiteDataset(RequestDatasetMixin, WhisperLiteDataset):
    """The dataset of WhisperLite if the data has requests."""

    trains_on_requests_only = True


class WithHistories(RequestDatasetMixin):
    """Rows refer to the user's earlier items (list it before the class it extends).

    Attributes:
        history_items (torch.Tensor): The item of every row, sorted by user and time, int64
            ``[n_rows]``. The history of an interaction is the ``history_length`` items
            from index ``history_begin`` on; both are fields of the interaction.
        history_requests (torch.Tensor): The text of the request that each of these items
            answered, int64 ``[n_rows]``; 0 if it answered none.
    """

    history_fields = ("history_begin", "history_length")

    def _change_feat_format(self):
        super()._change_feat_format()
        histories = self.histories(self.config["MAX_ITEM_LIST_LENGTH"])
        self.history_items = torch.from_numpy(self.all_chosen_items)
        requests = self.text_of_request[self._raw[1]]
        self.history_requests = torch.from_numpy(requests)
        values = torch.from_numpy(histories.begin), torch.from_numpy(histories.length)
        self.inter_feat.update(Interaction(dict(zip(self.history_fields, values))))


class WhisperLitePlusDataset(WithHistories, RequestWhisperLiteDataset):
    """The dataset of WhisperLitePlus."""


class HistoryDataset(WithHistories, Dataset):
    """The dataset of models that read histories, and count all interactions of training,
    those without a request included."""


def request_aware(dataset_class: type[Dataset]) -> type[Dataset]:
    """Return a subclass of ``dataset_class`` with requests, which can be pickled.

    Args:
        dataset_class (type): A RecBole dataset class.

    Raises:
        UserError: If the class splits the data itself: requests would be torn apart.
    """
    if dataset_class.build.__module__.partition(".")[0] not in _KNOWN:
        raise UserError(
            f"{dataset_class.__module__}.{dataset_class.__name__} builds the parts of a "
            "dataset in its own way, which knows no requests. Run its models on a dataset "
            "without a .request file and without request_template."
        )
    if issubclass(dataset_class, RequestDatasetMixin):
        return dataset_class
    qualified = f"Request{dataset_class.__name__}"
    module = sys.modules[__name__]
    if qualified not in vars(module):
        # create_dataset looks for a saved dataset by the name of the class that it asked
        # for; pickle uses the qualified name.
        made = type(
            dataset_class.__name__,
            (RequestDatasetMixin, dataset_class),
            {"__module__": __name__, "__qualname__": qualified},
        )
        setattr(module, qualified, made)
    return vars(module)[qualified]


def __getattr__(name):
    """Create the class of a pickled dataset in a process that has not created it yet."""
    base = name.removeprefix("Request")
    if base != name and hasattr(recbole_datasets, base):
        return request_aware(getattr(recbole_datasets, base))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
