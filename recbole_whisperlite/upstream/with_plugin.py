"""Runs a script with a clone of RecBole and this package on top of it.

The counterpart of :mod:`alone`::

    python with_plugin.py CLONE script.py [argument ...]
"""

import os
import runpy
import sys

if __name__ == "__main__":
    here, clone = os.path.dirname(os.path.abspath(__file__)), sys.argv[1]
    package = os.path.dirname(os.path.dirname(here))
    others = [each for each in sys.path if os.path.abspath(each) != here]
    # the clone has no recbole_whisperlite, and this package's folder may have a recbole
    sys.path[:] = [os.path.abspath(clone), package, *others]
    sys.argv = sys.argv[2:]
    import recbole_whisperlite  # noqa: F401  (RecBole comes after, and finds us)

    runpy.run_path(sys.argv[0], run_name="__main__")
