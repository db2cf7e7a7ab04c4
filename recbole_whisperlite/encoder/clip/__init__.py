"""CLIP models: how they are found and loaded, and their two towers.

>>> from recbole_whisperlite.encoder.clip import load_clip
>>> clip = load_clip("whisperlite-mini")
"""

__all__ = ["Clip", "load_clip"]


def __getattr__(name: str):
    # loaded on first use: the towers need torch, which is slow to import
    if name in __all__:
        from recbole_whisperlite.encoder.clip import clip

        return getattr(clip, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
