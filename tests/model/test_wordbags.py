"""Bags of words: what is known of a text, and what a checkpoint says of it."""

import pytest
import torch

from recbole_whisperlite.errors import UserError
from recbole_whisperlite.model.wordbags import Bags, WordBags

TEXTS = ["", "A red dress", "red red coat", "unheard of", "dress"]


@pytest.fixture
def bags():
    return WordBags(["a red dress", "red coat"], TEXTS, 3)


def test_a_text_is_the_mean_of_its_known_words(bags):
    assert bags.vocabulary == ["a", "coat", "dress", "red"]
    a, coat, dress, red = bags.embedding.weight
    expected = [
        torch.zeros(3),
        (a + red + dress) / 3,
        (2 * red + coat) / 3,  # a word counts as often as it is said
        torch.zeros(3),  # no word of it is known
        dress,
    ]
    torch.testing.assert_close(bags(torch.arange(5)), torch.stack(expected))
    torch.testing.assert_close(
        bags(torch.tensor([4, 0, 1, 4])),
        torch.stack([expected[text] for text in (4, 0, 1, 4)]),
    )


def test_only_known_words_of_the_texts_are_trained(bags):
    bags(torch.tensor([2, 3])).sum().backward()
    _, coat, _, red = bags.embedding.weight.grad
    assert bags.embedding.weight.grad[[0, 2]].abs().sum() == 0
    torch.testing.assert_close(red, 2 * coat)


def test_a_checkpoint_keeps_its_vocabulary(bags):
    # the same texts and a new one, in a process whose training requests are others
    later = WordBags(["blue hat", "red"], [*TEXTS, "blue coat"], 3)
    later.load_state_dict(bags.state_dict())
    torch.testing.assert_close(later(torch.arange(5)), bags(torch.arange(5)))
    coat = bags.embedding.weight[1]
    torch.testing.assert_close(later(torch.tensor([5]))[0], coat)
    assert bags.is_of_training and not later.is_of_training
    same = WordBags(["a red dress", "red coat"], TEXTS, 3)
    same.load_state_dict(bags.state_dict())
    assert same.is_of_training


def test_without_any_word_there_is_nothing_to_learn():
    with pytest.raises(UserError, match="no request of training contains a word"):
        WordBags(["...", "!"], TEXTS, 3)


def test_drawn_words_are_those_of_the_text_as_often_as_it_says_them():
    torch.manual_seed(0)
    bags = Bags([[], ["red", "red", "coat", "new"]], ["coat", "red"])
    drawn = bags.draw(torch.tensor([1]), 6000)
    assert drawn.shape == (1, 6000) and set(drawn.unique().tolist()) == {0, 1}
    assert abs((drawn == 1).float().mean() - 2 / 3) < 0.02
