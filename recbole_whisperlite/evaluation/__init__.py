"""Evaluation by query: the same test set for every model family."""

# First of all, because importing RecBole imports modules of this room.
import recbole  # noqa: F401
