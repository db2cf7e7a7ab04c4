"""CLIP models: where they come from, and their two towers.

>>> from recbole_whisperlite.encoder.clip import load_clip
>>> clip = load_clip("whisperlite-mini")
"""

__all__ = ["Clip", "load_clip"]


def __getattr__(name: str):
    # the towers need torch, which whoever asks for a name only must not wait for
    if name in __all__:
        from recbole_whisperlite.encoder.clip import clip

        return getattr(clip, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
