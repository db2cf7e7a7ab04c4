"""WhisperLite for RecBole: importing this package registers everything."""

import sys

# `python -m recbole_whisperlite doctor` must speak where nothing else can be imported.
if sys.argv[:2] != ["-m", "doctor"]:
    # The repairs come first: on a current stack RecBole itself cannot be imported.
    from recbole_whisperlite import compat

    compat.apply()

    from recbole_whisperlite.register import register

    register()

    __all__ = ["register"]
