"""Evaluation by query, with the same test set for every model family."""

# Must come first, because importing RecBole imports modules of this package.
import recbole  # noqa: F401
