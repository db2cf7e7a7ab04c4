"""What is kept in an evaluation, beside what is made anew."""

import copy
import pickle

import pytest
import torch

from recbole_whisperlite.model.kept import Kept, KeptRows, state_of


def test_a_value_is_made_once_and_again_when_a_tensor_changes_or_it_is_forgotten():
    tensor, kept, made = torch.zeros(2), Kept(), []

    def value():
        return kept(state_of([tensor]), lambda: made.append(1) or len(made))

    assert [value(), value()] == [1, 1]
    tensor += 1
    assert [value(), value()] == [2, 2]
    tensor = tensor.clone()
    assert [value(), value()] == [3, 3]
    kept.forget()
    assert [value(), value()] == [4, 4]


@pytest.mark.parametrize("kind", [Kept, KeptRows])
def test_neither_a_copy_nor_a_file_has_the_value(kind):
    kept = kind()
    kept("this", lambda: torch.zeros(1000))
    assert len(pickle.dumps(kept)) < 200
    for other in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert type(other) is kind and other("this", lambda: "new") == "new"


def test_each_row_is_made_once_and_only_when_it_is_asked_for():
    table, made, kept = torch.randn(5, 3), [], KeptRows()

    def rows(*row):
        def make(new):
            made.append(new.tolist())
            return table[new].double()

        row = torch.tensor(row)
        found = kept.table(state_of([table]), row, table.shape, make)
        assert torch.equal(found[row], table[row])

    rows(3, 1, 3)
    rows(1, 4)
    rows(4, 3)
    assert made == [[1, 3], [4]]
    table.mul_(2)
    rows(3)
    assert made == [[1, 3], [4], [3]]
