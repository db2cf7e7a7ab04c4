"""Runs a module or a script with a clone of RecBole, without this package.

It is run by its path, imports nothing of ours, and makes imports of ours fail. What it
repairs is the installed stack, for which RecBole 1.2.1 was not made::

    python alone.py CLONE script.py [argument ...]
    python alone.py CLONE -m pytest [argument ...]
"""

import functools
import importlib.util
import os
import runpy
import sys
import types


class _Blocked:
    """Finds no module of this package."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "recbole_whisperlite":
            raise ModuleNotFoundError(f"{name} is not to be imported here")


def mend_stack():
    """Give numpy, scipy, torch and ray what RecBole 1.2.1 expects of them."""
    import numpy as np
    import scipy.sparse
    import torch

    for name, meaning in {
        "bool8": np.bool_,
        "float_": np.float64,
        "complex_": np.complex128,
        "unicode_": np.str_,
    }.items():
        if name not in vars(np):
            setattr(np, name, meaning)
    if not hasattr(scipy.sparse.dok_matrix, "_update"):
        scipy.sparse.dok_matrix._update = lambda self, data: self._dict.update(data)
    # the files are those of this run
    torch.load = functools.partial(torch.load, weights_only=False)
    if importlib.util.find_spec("ray") is None:
        ray = types.ModuleType("ray")
        ray.tune = types.SimpleNamespace(report=lambda **metrics: None)
        sys.modules["ray"] = ray


def main(clone, *argv):
    """Run ``argv`` with the RecBole of the folder ``clone``."""
    here = os.path.dirname(os.path.abspath(__file__))
    clone = os.path.abspath(clone)
    sys.path[:] = [clone] + [each for each in sys.path if os.path.abspath(each) != here]
    sys.meta_path.insert(0, _Blocked())
    mend_stack()
    is_module = argv[0] == "-m"
    sys.argv = list(argv[is_module:])
    if is_module:
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
