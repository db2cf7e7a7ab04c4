"""RecBole's negative sampling refuses, in a sentence, what it cannot sample.

RecBole draws until it finds an item that the user has not chosen. It raises for a user who
chose the whole catalogue, without saying who, and draws for ever where what is left can
never be drawn: by popularity, an item that nobody chose.
"""

import functools

import numpy as np
from recbole.sampler.sampler import AbstractSampler, Sampler

from recbole_whisperlite.errors import UserError

_WAYS_OUT = (
    "Leave such users out with user_inter_num_interval, or train without negatives: with "
    "train_neg_sample_args: ~ where the model's loss allows it."
)


def register() -> None:
    """Wrap RecBole's samplers."""
    sample = AbstractSampler.sample_by_key_ids

    @functools.wraps(sample)
    def sample_by_key_ids(self, key_ids, num):
        if getattr(self, "_checked", None) is not self.used_ids:
            _refuse_endless(self)
            self._checked, self._of_all = self.used_ids, _chose_all(self)
        if self._of_all and not self._of_all.isdisjoint(key_ids):
            raise UserError(
                _of_everything(self, min(self._of_all.intersection(key_ids)))
            )
        return sample(self, key_ids, num)

    Sampler.get_used_ids = functools.wraps(Sampler.get_used_ids)(_used_ids)
    AbstractSampler.sample_by_key_ids = sample_by_key_ids


def _used_ids(sampler):
    """Return the items of each user up to each phase, as ``Sampler.get_used_ids``.

    RecBole has a set for each user and phase, and an object for each interaction: some
    kilobytes for a user. Here sets are shared by phases that add nothing, and items by
    sets. And it refuses users who chose everything even where nothing is sampled.
    """
    used = {}
    last = np.full(sampler.user_num, set(), dtype=object)
    of_item = np.arange(sampler.item_num).astype(object)
    for phase, dataset in zip(sampler.phases, sampler.datasets):
        feat = dataset.inter_feat
        user, item = (feat[f].numpy() for f in (sampler.uid_field, sampler.iid_field))
        order, last = np.argsort(user, kind="stable"), last.copy()
        user, item = user[order], of_item[item[order]]
        begin = np.flatnonzero(np.diff(user, prepend=-1))
        for n, first, end in zip(user[begin], begin, [*begin[1:], len(user)]):
            last[n] = last[n].union(item[first:end])
        used[phase] = last
    return used


def _chose_all(sampler):
    """Return the users who have chosen all items, so that nothing can be drawn for them."""
    if not isinstance(sampler, Sampler):
        return frozenset()
    used = enumerate(sampler.used_ids)
    return frozenset(user for user, items in used if len(items) >= sampler.item_num - 1)


def _of_everything(sampler, user):
    """Say which user has chosen all items."""
    token = sampler.datasets[0].id2token(sampler.uid_field, user)
    return (
        f"User '{token}' has chosen all {sampler.item_num - 1} items, so there is no "
        f"negative to sample. {_WAYS_OUT}"
    )


def _refuse_endless(sampler):
    """Raise a UserError if what popularity can draw is all among what is never drawn."""
    if sampler.distribution != "popularity":
        return
    drawn = set(sampler.prob)
    for used in sampler.used_ids:
        if len(used) >= len(drawn) and drawn <= set(used):
            raise UserError(
                f"Negatives are sampled by popularity, and somebody has chosen all "
                f"{len(drawn)} items that anybody chose, so there is none. Sample them "
                f"with distribution: uniform. {_WAYS_OUT}"
            )
