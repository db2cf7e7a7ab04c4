"""What RecBole's samplers know of each user, beside RecBole's own way to find it."""

import numpy as np
from recbole.sampler import Sampler

from recbole_whisperlite.data import sampling

N_USERS, N_ITEMS = 20, 30


class Phase:
    """What a sampler reads of a dataset."""

    def __init__(self, rng, n):
        user = rng.integers(1, N_USERS, n)
        item = rng.integers(1, N_ITEMS, n)
        self.inter_feat = {"user": Column(user), "item": Column(item)}


class Column(np.ndarray):
    def __new__(cls, values):
        return np.asarray(values).view(cls)

    def numpy(self):
        return np.asarray(self)


class Given:
    """A sampler of three phases, the second without a choice."""

    uid_field, iid_field = "user", "item"
    user_num, item_num = N_USERS, N_ITEMS
    phases = ["train", "valid", "test"]

    def __init__(self):
        rng = np.random.default_rng(0)
        self.datasets = [Phase(rng, n) for n in (60, 0, 15)]


def by_loops(given):
    """The items that each user has up to each phase."""
    found, chosen = {}, [set() for _ in range(N_USERS)]
    for phase, dataset in zip(given.phases, given.datasets):
        pairs = zip(dataset.inter_feat["user"], dataset.inter_feat["item"])
        for user, item in pairs:
            chosen[user].add(int(item))
        found[phase] = [set(items) for items in chosen]
    return found


def test_each_phase_knows_the_items_of_those_before():
    given = Given()
    used, expected = sampling._used_ids(given), by_loops(given)
    assert [*used] == given.phases
    for phase in given.phases:
        assert used[phase].tolist() == expected[phase]
    # what a phase does not change is not copied
    assert all(a is b for a, b in zip(used["train"], used["valid"]))


def test_they_are_those_of_recbole(tiny, prepare):
    _, _, loaders = prepare("WhisperLite", tiny)
    datasets = [loader._dataset for loader in loaders]
    sampler = Sampler(["train", "valid", "test"], datasets, "uniform", 1.0)
    expected = Sampler.get_used_ids.__wrapped__(sampler)
    assert [*sampler.used_ids] == [*expected]
    for phase in expected:
        assert sampler.used_ids[phase].tolist() == expected[phase].tolist()
    assert any(expected["train"] != expected["test"])


def test_ids_of_tokens_are_looked_up_by_plain_strings(tiny, prepare):
    _, data, _ = prepare("BPR", tiny)
    for field in (data.uid_field, data.iid_field):
        tokens = data.field2id_token[field]
        assert data.field2token_id[field] == {t: n for n, t in enumerate(tokens)}
        assert {*map(type, data.field2token_id[field])} == {str}
