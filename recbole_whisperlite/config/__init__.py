"""What this package adds to RecBole's ``Config``."""

# RecBole first: importing it imports modules of this package.
import recbole  # noqa: F401
