"""What this package adds to RecBole's ``Config``."""

import sys

# RecBole first: importing it imports modules of this package. A process of RecBole3.0 uses
# what needs no RecBole, and is not to import it.
if "recbole3" not in sys.modules:
    import recbole  # noqa: F401
