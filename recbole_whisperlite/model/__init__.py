"""The models: WhisperLite, WhisperLitePlus, and baselines that read the request."""

# RecBole first: importing it imports modules of this package.
import recbole  # noqa: F401
