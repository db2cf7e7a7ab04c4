"""``python -m recbole_whisperlite``."""

import sys

from recbole_whisperlite.cli import main

if __name__ == "__main__":
    sys.exit(main())
