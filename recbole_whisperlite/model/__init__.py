"""The models: WhisperLite, WhisperLitePlus, and baselines that read the request."""

# First of all, because importing RecBole imports modules of this room.
import recbole  # noqa: F401
