"""A trained model that answers requests which nobody asked before."""

from __future__ import annotations

import importlib
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_whisperlite.encoder import FittedEncoder
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.recommend import hub, likeness, load, question
from recbole_whisperlite.recommend.answer import Answer, Explanation, Recommendation
from recbole_whisperlite.recommend.folder import CARD, ModelFolder, config_of, stamp
from recbole_whisperlite.recommend.pictures import PictureEncoder
from recbole_whisperlite.recommend.question import Question
from recbole_whisperlite.recommend.save import write_model
from recbole_whisperlite.recommend.scorer import NewItems
from recbole_whisperlite.recommend.state import State
from recbole_whisperlite.recommend.stores import opening
from recbole_whisperlite.recommend.stores.address import N_CANDIDATES, Address
from recbole_whisperlite.recommend.stores.base import EXACT
from recbole_whisperlite.recommend.top_k import dense_top_k
from recbole_whisperlite.recommend.users import Users

if TYPE_CHECKING:
    import pandas as pd

# Scores of the catalogue that are held at once: 16 MB as float32.
_MOST_SCORES = 2**22
# The items of a history that an explanation names.
_SHOWN_OF_HISTORY = 5


class Recommender:
    """Ranks the products of a shop for any request.

    It is safe to ask from several threads while another one changes something: an answer
    is that before or that after the change.

    Examples::

        shop = Recommender.load("shop-model")
        for found in shop.recommend("black summer dress, no stripes", user="u17"):
            print(found.item, found.score, found.text)
    """

    def __init__(
        self,
        state: State,
        encoder: FittedEncoder,
        config: dict,
        card: str | None,
        folder: Path | None,
    ):
        self._state, self._encoder = state, encoder
        self._config, self._card, self._folder = config, card, folder
        self._pictures = PictureEncoder(config["encoder"]["settings"])
        self._changing = threading.Lock()
        # of a store: which one, the keys that are saved, and the changes that are not
        self._address, self._saved_keys, self._is_saved = None, None, True

    @classmethod
    def load(
        cls,
        source: str | os.PathLike,
        *,
        settings: dict | None = None,
        pictures: str | os.PathLike | None = None,
        own_code: bool = False,
        data_path: str | os.PathLike | None = None,
        store: str = "exact",
        candidates: int = N_CANDIDATES,
    ) -> Recommender:
        """Load a model.

        Args:
            source (str or Path): The folder of an exported model; a checkpoint of
                RecBole's, whose dataset must still be where it was, or in ``data_path``
                (this needs RecBole); or ``hf-hub:<owner>/<name>``.
            settings (dict, optional): Settings of the encoder that differ from those of
                the training, such as ``cache_dir``, ``device``, or ``clip_pretrained``
                where its weights are elsewhere now.
            pictures (str or Path, optional): The folder to which the paths of pictures
                are relative, if it is not where it was.
            own_code (bool): Whether a custom encoder (``module:Class``) that the model
                names may be imported.
            data_path (str or Path, optional): For a checkpoint: the folder that contains
                its dataset's folder.
            store (str): Where the best items are looked for: ``exact`` (every item),
                ``usearch`` or ``usearch:FOLDER``, ``milvus`` or ``milvus:URI``; those
                that :meth:`build_store` wrote, for a folder of its own.
            candidates (int): How many items such a store looks for at first, whose scores
                are then computed; the more, the fewer are missed.

        Returns:
            Recommender: Ready to answer.

        Raises:
            UserError: If there is no such model, or it is damaged; or there is no such
                store of it, or it is out of date or cannot be reached.
        """
        if not isinstance(source, (str, os.PathLike)):
            raise UserError(
                f"A model is loaded from a folder, a checkpoint or {hub.PREFIX}"
                f"<owner>/<name>, not from {source!r}."
            )
        name, address = os.path.expanduser(source), Address.of(store)
        options = {"settings": settings, "pictures": pictures, "own_code": own_code}
        if address.name != "exact":
            if name.startswith(hub.PREFIX) or os.path.isfile(name):
                raise UserError(
                    f"{name} has no store: a model has one in a folder of its own. Write "
                    f"one with save('shop-model') or export, and build the store there."
                )
            options["store"] = address, question.positive(candidates, "candidates")
        if name.startswith(hub.PREFIX):
            return cls.from_pretrained(name, **options)
        if os.path.isfile(name):
            return cls._of_checkpoint(name, data_path, options)
        while True:
            before = stamp(name)
            try:
                return cls._of_folder(ModelFolder(name), **options)
            except UserError:
                if stamp(name) == before:
                    raise
                # else a process has saved it meanwhile, and removed what was read

    @classmethod
    def _of_folder(cls, folder, settings, pictures, own_code, store=None):
        with folder.reading():
            encoder = load.read_encoder(folder, settings, own_code)
            catalogue = load.read_catalogue(folder, pictures)
            scorer = load.read_scorer(folder, encoder, len(catalogue))
            users = load.read_users(folder, len(catalogue))
            config = load.read_config(folder, settings)
            card = folder.card()
        state, home = State(catalogue, scorer, users), folder.folder.resolve()
        loaded = cls(state, encoder, config, card, home)
        if store:
            loaded._ask_store(folder.config, *store)
        return loaded

    def open_store(self, store: str, candidates: int = N_CANDIDATES) -> None:
        """Ask a store from now on, as :meth:`load` does.

        Args:
            store (str), candidates (int): As for :meth:`load`.

        Raises:
            UserError: If the model has changes that are not saved, or there is no such
                store of it, or it is out of date or cannot be reached.
        """
        address = Address.of(store)
        candidates = question.positive(candidates, "candidates")
        with self._changing:
            folder = self._unchanged_in()
            self._ask_store(config_of(folder), address, candidates)

    def _ask_store(self, config, address, candidates):
        on_disk, opened = self._on_disk(config), EXACT
        if address.name != "exact":
            opened = opening.open_store(address, on_disk, candidates)
            self._address = address, on_disk.folder
            self._saved_keys = opened.keys
        self._state = self._state._replace(store=opened)

    def _unchanged_in(self):
        folder = self._saved_in()
        if not self._is_saved:
            raise UserError("The model has changes that are not saved: save() first.")
        return folder

    def _on_disk(self, config):
        state = self._state
        return opening.OnDisk(self._folder, config, state.scorer, state.catalogue)

    def build_store(self, store: str, candidates: int = N_CANDIDATES) -> None:
        """Write a store of the model, as it is in its folder, and ask it from now on.

        Args:
            store (str): ``usearch``, ``usearch:FOLDER``, ``milvus`` or ``milvus:URI``.
            candidates (int): As for :meth:`load`.

        Raises:
            UserError: If the model has changes that are not saved or cannot have a store,
                or it cannot be written.
        """
        address, candidates = Address.of(store), question.positive(
            candidates, "candidates"
        )
        if address.name == "exact":
            raise UserError("The store exact needs no files: load the model with it.")
        with self._changing:
            on_disk = self._on_disk(config_of(self._unchanged_in()))
            opening.build_store(address, on_disk, self._some_histories)
            self._ask_store(on_disk.config, address, candidates)

    def _some_histories(self, n):
        users = [] if self.users is None else list(self.users)
        drawn = np.random.default_rng(0).permutation(len(users))[:n]
        histories = map(self._state.history, (users[each] for each in drawn))
        return [each for each in histories if len(each)]

    @classmethod
    def _of_checkpoint(cls, checkpoint, data_path, options):
        # by name, as it needs RecBole, and arrows run down
        export = importlib.import_module("recbole_whisperlite.export.model")
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "model")
            export.export_checkpoint(
                checkpoint,
                target,
                data_path=data_path,
                own_code_allowed=options["own_code"],
            )
            loaded = cls._of_folder(ModelFolder(target, memory_map=False), **options)
        loaded._folder = None
        return loaded

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        *,
        revision: str | None = None,
        cache_dir: str | os.PathLike | None = None,
        **options,
    ) -> Recommender:
        """Load a model from the Hugging Face Hub.

        Args:
            name (str): ``<owner>/<name>``, with or without ``hf-hub:``; or a folder.
            revision (str, optional): A branch, tag or commit.
            cache_dir (str or Path, optional): Where downloads are kept.
            **options: As for :meth:`load`.

        Raises:
            UserError: If it cannot be downloaded, or is damaged.
        """
        name = os.fspath(name)
        if not name.startswith(hub.PREFIX) and os.path.isdir(name):
            return cls.load(name, **options)
        loaded = cls.load(hub.download(name, revision, cache_dir), **options)
        loaded._folder = None  # what was downloaded stays as it is
        return loaded

    def push(self, name: str, *, private: bool = True, token: str | None = None) -> str:
        """Upload the model to the Hugging Face Hub, as it was saved last.

        Args:
            name (str): ``<owner>/<name>``, with or without ``hf-hub:``.
            private (bool): Whether a new repository is private.
            token (str, optional): By default the one that ``hf auth login`` stored.

        Returns:
            str: The address of the model.

        Raises:
            UserError: If it cannot be uploaded, or was never saved.
        """
        return hub.upload(self._saved_in(), name, private, token)

    def _saved_in(self):
        if self._folder is None:
            raise UserError(
                "This model is in no folder of its own yet: save it first, "
                "save('shop-model')."
            )
        return self._folder

    def __len__(self):
        return len(self._state.catalogue)

    def __repr__(self):
        users = self._state.users
        return (
            f"<Recommender {self.model}, {len(self)} items, "
            f"{'no' if users is None else len(users)} users>"
        )

    @property
    def model(self) -> str:
        """str: The name of the model."""
        return self._config["model"]

    @property
    def about(self) -> dict:
        """dict: Where the model comes from: dataset, fingerprint, metrics, settings."""
        return self._config["about"]

    @property
    def columns(self) -> dict[str, str]:
        """dict: The columns of the item table with their atomic types, for ``where``."""
        return dict(self._state.catalogue.types)

    def item(self, id_: str) -> dict[str, object]:
        """Return what the catalogue says of an item: its columns, by name.

        Raises:
            UserError: If it is not in the catalogue.
        """
        return self.items([id_])[0]

    def items(
        self, ids: Iterable[str], columns: Iterable[str] | None = None
    ) -> list[dict[str, object]]:
        """Return what the catalogue says of several items, as :meth:`item`.

        Args:
            ids (iterable of str): Their ids.
            columns (iterable of str, optional): Those of :attr:`columns` that are wanted;
                by default all.

        Raises:
            UserError: If an item is not in the catalogue, or there is no such column.
        """
        catalogue = self._state.catalogue
        columns = None if columns is None else list(dict.fromkeys(columns))
        for column in columns or ():
            if column not in catalogue.types:
                close = did_you_mean(column, catalogue.types)
                raise UserError(f"columns: there is no column '{column}'.{close}")
        return catalogue.columns_of(catalogue.rows(ids, "items"), columns)

    def text(self, id_: str) -> str:
        """Return the text that the model knows an item by.

        Raises:
            UserError: If the item is not in the catalogue.
        """
        catalogue = self._state.catalogue
        return catalogue.texts([catalogue.row(id_)])[0]

    def picture(self, id_: str) -> str | None:
        """Return the path of an item's picture, None if it has none.

        Raises:
            UserError: If the item is not in the catalogue.
        """
        catalogue = self._state.catalogue
        return catalogue.pictures([catalogue.row(id_)])[0]

    @property
    def picture_folder(self) -> str | None:
        """str or None: The folder to which the paths of pictures are relative."""
        return self._state.catalogue.picture_folder

    def __contains__(self, id_):
        return id_ in self._state.catalogue.row_of

    def __iter__(self):
        return iter(self._state.catalogue.row_of)

    @property
    def users(self) -> Users | None:
        """Users: Those whose histories the model knows: ``"u17" in shop.users``; None if
        it was exported without them."""
        return self._state.users

    def history(self, user: str) -> list[str]:
        """Return the items of a user's history, oldest first; none for an unknown user."""
        state = self._state
        return state.catalogue.ids(state.history(user))

    def times_chosen(self, request: str, id_: str) -> int | None:
        """Return how often an item was chosen for a request text, None if the model does
        not count it.

        Raises:
            UserError: If the item is not in the catalogue.
        """
        state = self._state
        return state.scorer.times_chosen(request, state.catalogue.row(id_))

    @property
    def knows_pictures(self) -> bool:
        """bool: Whether a picture can be asked for."""
        return self._state.scorer.knows_pictures

    # asking

    def recommend(
        self,
        request: str | Sequence[str] | None = None,
        user: str | Sequence[str | None] | None = None,
        *,
        k: int = 10,
        history: Sequence[str] | Sequence[Sequence[str] | None] | None = None,
        image: object = None,
        like: str | None = None,
        exclude_seen: bool = True,
        exclude: Iterable[str] = (),
        among: Iterable[str] | None = None,
        where: Mapping[str, object] | None = None,
        parts: bool = True,
    ) -> Answer | list[Answer]:
        """Return the best items for a request, or for each of several requests.

        A blank request is ranked by all but its text: by what is popular and by the
        history, where the model knows them. A user who is unknown is answered like
        anybody, and the answer says so.

        Args:
            request (str or list of str, optional): What is wanted. With a list, ``user``,
                ``history`` and ``image`` may be lists of the same length.
            user (str or list, optional): Who asks.
            k (int): How many items.
            history (list of str or list of lists, optional): Item ids, oldest first,
                instead of the user's history.
            image (optional): A picture of what is wanted, alone or with a request: a
                path, a PIL image or an array uint8 ``[height, width, 3]``; or a list.
            like (str, optional): An item that was shown, for "like this, but …": see
                :mod:`recbole_whisperlite.recommend.likeness`.
            exclude_seen (bool): Whether to leave out the items of the history.
            exclude (iterable of str): Items to leave out.
            among (iterable of str, optional): The only items to rank.
            where (dict, optional): Conditions on columns of the item table, such as
                ``{"category": "shoes", "price": (0, 50)}``, see
                :meth:`recbole_whisperlite.recommend.catalogue.Catalogue.where`.
            parts (bool): Whether scores come with their parts, which takes a little longer.

        Returns:
            Answer or list of Answer: Fewer than ``k`` items if no more are left.

        Raises:
            UserError: If an argument is wrong; the message says what is accepted.
        """
        state, k = self._state, question.positive(k, "k")
        asked = question.question(state, self._pictures, request, user, history, image)
        allowed = question.allowed(state, exclude, among, where)
        if like is not None:
            like = state.catalogue.row(like, "like")
            asked, allowed[like] = likeness.after(asked, like), False
        step, answers = max(_MOST_SCORES // max(len(allowed), 1), 1), []
        for start in range(0, len(asked), step):
            part = asked.part(start, start + step)
            answers += _answers(
                state, part, k, allowed, exclude_seen, like, parts, where
            )
        return answers if asked.several else answers[0]

    def similar(
        self,
        item: str,
        k: int = 10,
        *,
        exclude: Iterable[str] = (),
        among: Iterable[str] | None = None,
        where: Mapping[str, object] | None = None,
    ) -> Answer:
        """Return the items most similar to an item.

        Similarity is the cosine of the vectors by which the model compares items. For
        BM25, it is what the text of the item finds as a request.

        Args:
            item (str): Its id.
            k, exclude, among, where: As in :meth:`recommend`.

        Returns:
            Answer: Without the item itself.

        Raises:
            UserError: If an argument is wrong, or the model knows only how often items
                were chosen.
        """
        state, k = self._state, question.positive(k, "k")
        row = state.catalogue.row(item)
        allowed = question.allowed(state, exclude, among, where)
        allowed[row] = False
        text = state.catalogue.texts([row])[0]
        similarity = state.scorer.similar(row, text)
        if similarity is None:
            raise UserError(
                f"{self.model} cannot compare items: it knows only how often they were "
                "chosen."
            )
        scores = np.where(allowed, similarity, np.float32(-np.inf))[None]
        items, scores = dense_top_k(scores, k)
        found = _recommendations(state, items, scores, {"similarity": scores})
        return Answer(found[0], text, None, text, "", ())

    def explain(
        self,
        request: str | None,
        item: str,
        user: str | None = None,
        *,
        history: Sequence[str] | None = None,
        image: object = None,
    ) -> Explanation:
        """Return why an item stands where it stands.

        Args:
            request, user, history, image: As in :meth:`recommend`, of one request.
            item (str): Its id.

        Raises:
            UserError: If an argument is wrong, or the user is unknown.
        """
        state = self._state
        asked = question.question(state, self._pictures, request, user, history, image)
        if asked.several:
            raise UserError("explain takes one request, not a list.")
        if history is None and not question.is_known(state, asked.users[0]):
            raise UserError(question.unknown(state, asked.users[0]))
        row = state.catalogue.row(item)
        scorer, batch = state.scorer, state.scorer.encode(asked.asked())
        scores, parts = scorer.scores(batch)[0], scorer.parts(batch, np.array([[row]]))
        shown = np.ones(len(state.catalogue), dtype=bool)
        shown[asked.histories[0]] = False
        shown[row] = True
        attended, weight = scorer.attended(batch)
        counted, place = np.unique(attended, return_inverse=True)  # some twice
        weight = np.bincount(place, weight, minlength=len(counted))
        order = np.argsort(-weight, kind="stable")[:_SHOWN_OF_HISTORY]
        wish, ruled_out = scorer.splits(asked.requests[0])
        return Explanation(
            item=state.catalogue.ids([row])[0],
            text=state.catalogue.texts([row])[0],
            score=float(scores[row]),
            parts={name: float(values[0, 0]) for name, values in parts.items()},
            rank=1 + int((scores[shown] > scores[row]).sum()),
            of=int(shown.sum()),
            request=asked.requests[0],
            user=asked.users[0],
            wish=wish,
            ruled_out=ruled_out,
            chosen_before=scorer.times_chosen(asked.requests[0], row),
            history=tuple(
                zip(state.catalogue.ids(counted[order]), weight[order].tolist())
            ),
        )

    # changing

    def add_items(self, items: pd.DataFrame | Iterable[Mapping[str, object]]) -> None:
        """Add products to the catalogue; they can be found at once.

        Args:
            items (pandas.DataFrame or list of dict): With the column of ids, columns of
                the item text and others (see :attr:`columns`); the column ``image`` has
                paths relative to the folder of the pictures.

        Raises:
            UserError: If a column, id, text, number or picture is wrong. Then nothing is
                added.
        """
        self.change_items(add=items)

    def remove_items(self, ids: Iterable[str]) -> None:
        """Remove products from the catalogue and from all histories.

        To remove many at once takes no longer than to remove one.

        Args:
            ids (iterable of str): Their ids.

        Raises:
            UserError: If one is not in the catalogue. Then nothing is removed.
        """
        self.change_items(remove=ids)

    def change_items(
        self,
        add: pd.DataFrame | Iterable[Mapping[str, object]] = (),
        remove: Iterable[str] = (),
    ) -> None:
        """Remove products and add others, in one step: no answer is in between.

        Args:
            add: As for :meth:`add_items`.
            remove: As for :meth:`remove_items`.

        Raises:
            UserError: As by these. Then nothing has changed.
        """
        frame = _frame(add)
        with self._changing:
            state = self._state
            rows = state.catalogue.rows(remove, "remove_items")
            if len(rows):
                state = state.without_items(rows)
            if len(frame):
                state = self._with_items(state, frame)
            self._is_saved &= state is self._state
            self._state = state

    def _with_items(self, state, frame):
        catalogue = state.catalogue.with_items(frame)
        rows, pictures = range(len(state.catalogue), len(catalogue)), None
        if state.scorer.knows_pictures:
            pictures = self._pictures.encode(catalogue.pictures(rows))
        new = NewItems(catalogue.texts(rows), pictures)
        scorer = state.scorer.with_items(new)
        store = state.store.with_items(len(rows))
        return state._replace(catalogue=catalogue, scorer=scorer, store=store)

    def record(self, user: str, item: str, request: str | None = None) -> None:
        """Add a choice to the history of a user, and to the counts of its request.

        What was trained does not change: neither the towers, nor which items share users.

        Args:
            user (str): Who; a new user gets a history.
            item (str): What was chosen.
            request (str, optional): What it was chosen for.

        Raises:
            UserError: If the item is not in the catalogue, or a type is wrong.
        """
        user, request = question.choice_of(user, request)
        with self._changing:
            state = self._state
            row = state.catalogue.row(item)
            users = (state.users or Users.none()).with_choice(user, row)
            scorer, store = state.scorer.with_choice(request, row), state.store
            if scorer is not state.scorer:
                store = store.with_change(row)
            self._is_saved = False
            self._state = state._replace(users=users, scorer=scorer, store=store)

    def save(self, folder: str | os.PathLike | None = None) -> Path:
        """Write the model with all changes, and to its store what has changed; in another
        folder it has no store.

        Args:
            folder (str or Path, optional): Where; by default where it was loaded from.

        Returns:
            Path: The folder.

        Raises:
            UserError: If it cannot be written there, or the store cannot be changed.
        """
        with self._changing:
            target = Path(folder).expanduser().resolve() if folder else self._saved_in()
            # a card that was edited there since is kept
            kept = target == self._folder and (target / CARD).is_file()
            card = None if kept else self._card
            write_model(target, self._config, self._state, self._encoder, card)
            self._folder, self._is_saved = target, True
            if self._state.store is not EXACT and target == self._address[1]:
                store = opening.save_store(
                    self._state.store,
                    self._address[0],
                    self._on_disk(config_of(target)),
                    self._saved_keys,
                )
                self._state = self._state._replace(store=store)
                self._saved_keys = store.keys
        return target


def _frame(items):
    import pandas as pd

    try:
        if items is None:
            raise TypeError
        # as objects, or a missing value would make floats of whole numbers
        return pd.DataFrame(items, dtype=object)
    except (TypeError, ValueError):
        raise UserError(
            f"add_items takes a DataFrame or a list of dicts by column, not {items!r}."
        ) from None


def _answers(
    state, asked: Question, k, allowed, exclude_seen, like, parts, where
) -> list[Answer]:
    found = _found(state, asked, k, allowed, exclude_seen, like, parts, where)
    answers = []
    for request, user, notes, of_row in zip(
        asked.requests, asked.users, asked.notes, found
    ):
        wish, ruled_out = state.scorer.splits(request)
        answers.append(Answer(of_row, request, user, wish, ruled_out, tuple(notes)))
    return answers


def _found(
    state, asked, k, allowed, exclude_seen, like, parts, where
) -> list[list[Recommendation]]:
    if not allowed.any():  # nor need there be anything to compare requests with
        return [[] for _ in range(len(asked))]
    store = state.store if like is None else EXACT
    batch = store.encode(state.scorer, asked.asked())
    allowed = allowed[None]
    if exclude_seen and any(map(len, asked.histories)):
        allowed = np.repeat(allowed, len(asked), axis=0)
        for row, history in enumerate(asked.histories):
            allowed[row, history] = False
    k = min(k, state.scorer.n_items)
    if like is not None:
        return _recommendations(state, *likeness.top(state, batch, k, allowed, like))
    items, scores = store.top(state.scorer, batch, k, allowed, where)
    of_scores = state.scorer.parts(batch, items) if parts else {}
    return _recommendations(state, items, scores, of_scores)


def _recommendations(state, items, scores, parts) -> list[list[Recommendation]]:
    """Return the items of each row, ``[n, k]``; -1 where fewer are left than wanted."""
    there, ends = items >= 0, np.cumsum((items >= 0).sum(axis=1))
    rows, catalogue = items[there], state.catalogue
    columns = [values[there].tolist() for values in parts.values()]
    found = [
        Recommendation(id_, score, text, picture, dict(zip(parts, of_item)))
        for id_, score, text, picture, *of_item in zip(
            catalogue.ids(rows),
            scores[there].tolist(),
            catalogue.texts(rows),
            catalogue.pictures(rows),
            *columns,
        )
    ]
    return [found[begin:end] for begin, end in zip([0, *ends], ends)]
