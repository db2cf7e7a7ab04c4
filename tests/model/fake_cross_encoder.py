"""The library is an extra: here a small module takes its place."""

import sys
import types
import zlib

import numpy as np


class FakeCrossEncoder:
    """Scores a pair by its bytes: any two pairs differ, and a pair is always the same."""

    def __init__(self, folder, device):
        self.pairs = []

    def predict(self, pairs, batch_size, show_progress_bar):
        assert not show_progress_bar
        self.pairs += pairs
        return np.array([score(*pair) for pair in pairs], dtype=np.float32)


def score(request, item):
    return zlib.crc32(f"{request}|{item}".encode()) / 2**32


def install(monkeypatch, cross_encoder=FakeCrossEncoder):
    module = types.SimpleNamespace(CrossEncoder=cross_encoder)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
