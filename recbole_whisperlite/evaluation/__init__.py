# RecBole first: importing it imports modules of this room, which must not be half made then.
import recbole  # noqa: F401
