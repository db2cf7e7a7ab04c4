"""A benchmark of four requests, small enough to be computed by hand."""

import numpy as np
import pytest

EVIL = "a dress</script><script>alert('&')</script>"


def run(ndcg, curve, **more):
    return {
        "test_result": {"ndcg@1": ndcg, "ndcg@3": ndcg, "hit@3": 0.5, "auc": 0.5},
        "best_valid_result": None,
        "seconds": {"train": 2.0},
        "parameters": 10,
        "peak_memory_mb": 100.0,
        "eval_step": 2,
        "valid_curve": curve,
        **more,
    }


def cell(mean, p_holm=None):
    names = "mean low high relative relative_low relative_high".split()
    return {
        "mean": mean,
        "deviation": 0.01,
        "low": mean - 0.1,
        "high": mean + 0.1,
        "difference": p_holm and dict(zip(names, (0.04, 0.01, 0.07, 0.08, 0.02, 0.14))),
        "p": p_holm,
        "p_holm": p_holm,
    }


def row(name, model, metrics, runs, errors=None, seconds=2.0):
    return {
        "name": name,
        "model": model,
        "inputs": ["request"],
        "settings": {},
        "tuned": None,
        "trials": 0,
        "note": None,
        "errors": errors or {},
        "metrics": metrics,
        "cost": {"train_seconds": seconds, "parameters": 1e4} if runs else {},
        "runs": runs,
    }


@pytest.fixture
def made():
    """Four queries, five positives; WhisperLite (two seeds), <b>Pop</b>, a failed row.

    =====  =====  =======  =====================  =========================
    query  words  history  positives (popularity) rank: WhisperLite 1, 2; Pop
    =====  =====  =======  =====================  =========================
    0      1      0        i1 (0)                 1, 1; 3
    1      2      1        i2 (5), i3 (2)         1 and 2, 2 and 1; 9 and 8
    2      4      2        i1 (0)                 2, 9; 1
    3      40     7        i3 (2)                 9, 9; 1
    =====  =====  =======  =====================  =========================
    """
    curve = [{"seconds": 1.0, "ndcg@3": 0.1}, {"seconds": 3.0, "ndcg@3": 0.2}]
    ours = {
        "ndcg@1": cell(0.375),
        "ndcg@3": cell(0.58),
        "hit@3": cell(0.6),
        "auc": {**cell(0.5), "low": None, "high": None},
    }
    theirs = {
        "ndcg@1": cell(0.5, 0.5),
        "ndcg@3": cell(0.62, 0.012),
        "hit@3": cell(0.75, 0.3),
        "auc": {**cell(0.4), "low": None, "high": None},
    }
    top = np.array([[1, 2, 3], [2, 3, 1], [2, 1, 3], [1, 2, 0]], dtype=np.int32)
    arrays = {
        "0/tokens": np.array(["", "i1", "i2", "i3"]),
        "0/user": np.array(["u1", "u2", "u3", "u4"]),
        "0/request": np.array(["r1", "r2", "r3", "r4"]),
        "0/words": np.array([1, 2, 4, 40]),
        "0/history": np.array([0, 1, 2, 7]),
        "0/asked": np.array([0, 0, 3, 12]),
        "0/positive_unit": np.array([0, 1, 1, 2, 3]),
        "0/positive_item": np.array([1, 2, 3, 1, 3]),
        "0/popularity": np.array([0, 5, 2, 0, 2]),
        "0/rank/WhisperLite/1": np.array([1, 1, 2, 2, 9], dtype=np.int32),
        "0/rank/WhisperLite/2": np.array([1, 2, 1, 9, 9], dtype=np.int32),
        "0/rank/<b>Pop</b>/1": np.array([3, 9, 8, 1, 1], dtype=np.int32),
        "0/top/WhisperLite/1": top,
        "0/top/WhisperLite/2": top,
        "0/top/<b>Pop</b>/1": top,
    }
    return {
        "dataset": "tiny",
        "command": ["--model=WhisperLite,Pop", "--dataset=tiny & more"],
        "created": "2026-01-02T03:04:05+00:00",
        "versions": {"python": "3.11.7", "torch": "2.12.1", "open_clip_torch": None},
        "composed_requests": "{colour} {kind}",
        "seeds": [1, 2],
        "metrics": ["ndcg@1", "ndcg@3", "hit@3", "auc"],
        "main_metric": "ndcg@3",
        "smaller_is_better": [],
        "metrics_of_queries": ["ndcg@1", "ndcg@3", "hit@3"],
        "reference": "WhisperLite",
        "significance": "By a test.",
        "dataset_folder": None,
        "test_sets": [
            {
                "fingerprint": "0123456789abcdef",
                "valid_fingerprint": "fedcba9876543210",
                "seeds": [1, 2],
                "queries": 4,
                "positives": 5,
                "items": 3,
            }
        ],
        "rows": [
            row("<b>Pop</b>", "Pop", theirs, {"1": run(0.6, curve[:1])}, seconds=0.0),
            row(
                "WhisperLite",
                "WhisperLite",
                ours,
                {"1": run(0.5, curve), "2": run(0.6, curve)},
            ),
            row("SASRec", "SASRec", {}, {}, {"1": "n_heads <3> is no divisor"}),
        ],
        "examples": [
            {
                "user": "u1",
                "request_id": "r1",
                "request": EVIL,
                "positives": ["i1"],
                "top": {"WhisperLite": ["i1", "i2"], "<b>Pop</b>": ["i2"]},
            }
        ],
        "items": {
            "i1": {"title": "Red <i>", "text": 'Red "dress" <i>', "image": None},
            "i2": {"title": "", "text": "", "image": None},
        },
        "units": arrays,
    }
