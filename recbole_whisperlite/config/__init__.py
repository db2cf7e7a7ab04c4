"""What this package adds to RecBole's ``Config``."""

# First of all, because importing RecBole imports modules of this room.
import recbole  # noqa: F401
