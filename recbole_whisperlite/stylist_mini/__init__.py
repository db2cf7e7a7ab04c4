"""The built-in dataset ``stylist-mini``: shoppers' requests and what stylists picked.

A seeded generator makes it, with the structure of the paper's private WhisperD. The
requests are synthetic. ``docs/stylist-mini.md`` states the rules; the modules follow
its order: :mod:`vocabulary` (words), :mod:`catalogue` (products), :mod:`drawing` (their
pictures), :mod:`shoppers` (tastes and visits), :mod:`intents` (what is wanted),
:mod:`wording` (request texts), :mod:`picks` (what is sent) and :mod:`folder` (files).
"""

from recbole_whisperlite.stylist_mini.folder import build

__all__ = ["build"]
