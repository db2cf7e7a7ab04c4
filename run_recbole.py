"""Run any RecBole model, WhisperLite among them: RecBole's own flags, its own runner.

Importing the package registers everything; it happens here at module level, and not
under ``__main__``, because the child processes of ``--nproc`` import this file too.
"""

import sys

from recbole_whisperlite.cli import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
