"""Compare floats by their size, as every processor and number of threads rounds them.

A matrix product adds its terms in an order that depends on the processor's instructions
and on the shape and the threads it was split for. Each order rounds otherwise, and the
difference grows with the numbers that are added: what is 1e-7 at size 1 is 1e-5 at size
100. A tolerance that does not know the size is either too narrow or says nothing.
"""

import numpy as np
import torch


def assert_close_relative(actual, expected, rtol=1e-5, size=None):
    """Assert that floats differ by at most ``rtol`` of the largest expected one.

    Both are tensors, arrays or numbers of one shape, or dicts, lists and tuples of
    them, of which each is measured by its own largest value. ``size`` takes the place
    of that where the values are what is left of larger ones.
    """
    if isinstance(expected, dict):
        assert set(actual) == set(expected)
        for name in expected:
            assert_close_relative(actual[name], expected[name], rtol, size)
        return
    if isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected):
            assert_close_relative(one, other, rtol, size)
        return
    actual, expected = _array(actual), _array(expected)
    assert actual.shape == expected.shape
    if size is None:
        size = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * float(size))


def _array(values):
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)
