"""How runs end whose settings are wrong or extreme, one setting at a time.

A longer measurement than the tests have time for, as figures for docs/reliability.md::

    PYTHONPATH=.:tests python tests/wrong_settings.py

Every value of every setting goes through the command line, in a process of its own, on a
dataset of thirty users. A run ends well, or with a sentence and status 2; a traceback, a
hang, or a good end with a value that cannot be right is a fault, and is printed.
"""

import argparse
import collections
import contextlib
import io
import random
import sys
import tempfile
import warnings
from pathlib import Path

import yaml
from tqdm import tqdm

import forked
import recbole_whisperlite  # noqa: F401  (RecBole comes after, and finds us)
from recbole_whisperlite import cli
from recbole_whisperlite.config.annotated import OVERALL, read_settings
from recbole_whisperlite.config.settings import REQUEST_SETTINGS
from recbole_whisperlite.data.atomic import write_atomic
from recbole_whisperlite.model.names import find_model, settings_files

MODELS = "WhisperLitePlus WhisperLite BM25 ZeroShot RequestPop LateFusion LinearFusion"
MODELS += " LambdaMART ZAM TEM QuerySeqRec Whisper"
# RecBole's own settings are tried on one of each family.
FAMILIES = "WhisperLite BPR SASRec"
# No text of these is of the right type, and no number, list or switch of the other ones.
WRONG = {
    "bool": ["of", 2, 0.5, [True], {"a": 1}],
    "int": ["many", 1.5, [3], {"a": 1}, ".inf", ".nan", True, 10**30],
    "float": ["much", [0.1], {"a": 1}, ".inf", "-.inf", ".nan", True],
    "str": [3, 0.5, [], ["a", 1], {"a": 1}, True],
    "dict": ["text", 1, [1, 2], True],
    "list of int": ["text", ["a"], [0.5], {"a": 1}, [None]],
    "list": [{"a": 1}, True],
}
# What the table cannot know: values of the right type, some of them nonsense.
OTHER = {
    "eval_args": [
        {"split": {"RS": [0.8, 0.1]}},
        {"split": {"RS": [0, 0, 0]}},
        {"split": {"RS": [-1, 1, 1]}},
        {"split": {"RS": "a"}},
        {"split": {"LS": "all"}},
        {"split": {"XS": [1, 1, 1]}},
        {"split": {}},
        {"split": {"RS": [1, 0, 0]}},
        {"order": "by time"},
        {"mode": "uni0"},
        {"mode": "uni9999"},
        {"mode": {"valid": "full"}},
        {"mode": {"valid": "full", "tset": "full"}},
        {"group_by": "item"},
        {"splti": {}},
    ],
    "topk": [0, -1, [0], [], [1, 1], [10**6], 10**6, [10, 5]],
    "metrics": ["", [], ["NDCG", "NDCG"], ["ndgc"], ["AUC"], ["Recall", 3], "Recall"],
    "valid_metric": ["NDCG", "NDCG@", "@10", "NDCG@7", "NDCG@x", "AUC", ""],
    "train_neg_sample_args": [
        {"distribution": "uniform"},
        {"distribution": "normal", "sample_num": 1},
        {"distribution": "uniform", "sample_num": 0},
        {"distribution": "uniform", "sample_num": 40},
        {"distribution": "popularity", "sample_num": 1, "alpha": -1},
        {"distribution": "uniform", "sample_num": 1, "dynamic": True},
        {"sampel_num": 1},
        {},
    ],
    "load_col": [
        {"inter": ["user_id"]},
        {"inter": "user_id"},
        {"item": ["colour"]},
        {},
    ],
    "threshold": [{"timestamp": 5}, {"rating": 3}, {}],
    "val_interval": [{"timestamp": "[5,inf)"}, {"timestamp": "5"}, {"a": "[1,2]"}],
    "user_inter_num_interval": ["[9,inf)", "[5,1]", "5", "", "[a,b]"],
    "item_inter_num_interval": ["[99,inf)", "(0,inf)", "nothing"],
    "item_text_fields": [[], ["price"], ["title", "title"], "title", ["item_id"], [3]],
    "encoder": [
        "",
        "tfidf2",
        [],
        ["tfidf", "tfidf"],
        "os:system",
        "a:b:c",
        "precomputed",
    ],
    "request_template": ["{title}", "{colour}", "{", "", "{title:decade}", "{0}"],
    "learner": ["adam", "sgd", "adamm"],
    "fusion_models": [
        [],
        ["BM25"],
        ["BM25", "BM25"],
        ["Nobody", "BM25"],
        ["LateFusion"],
    ],
    "mlp_hidden_size": [[], [1], [0], [-1], [1] * 50],
    "cache_dir": ["", "/proc/none", "/dev/null"],
    "result_file": ["", "/dev/null/x", "."],
    "unit_file": ["", "/dev/null/x", "."],
    "export": ["", "/dev/null/x"],
    "checkpoint_dir": ["", "/dev/null/x"],
    "data_path": ["", "nowhere"],
    "USER_ID_FIELD": ["", "nobody", "item_id"],
    "TIME_FIELD": ["", "never", "user_id"],
    "cross_encoder": ["nowhere/at/all"],
}


def write_shop(folder):
    """Thirty users of five choices each among forty products in five colours."""
    rng = random.Random(1)
    colours = ["red", "blue", "green", "black", "white"]
    items = [(f"i{n}", f"{colours[n % 5]} thing {n // 5}") for n in range(40)]
    choices, requests = [], []
    for user in range(30):
        for turn, item in enumerate(rng.sample(range(40), 5)):
            requests.append((f"r{len(requests)}", f"a {colours[item % 5]} thing"))
            choices.append((f"u{user}", f"i{item}", requests[-1][0], turn))
    home = Path(folder) / "shop" / "shop"
    columns = ["user_id:token", "item_id:token", "request_id:token", "timestamp:float"]
    for suffix, names, rows in (
        ("inter", columns, choices),
        ("request", ["request_id:token", "request:token"], requests),
        ("item", ["item_id:token", "title:token"], items),
    ):
        types = dict(name.split(":") for name in names)
        write_atomic(home.with_suffix(f".{suffix}"), types, rows)
    return home.parent.parent


def values(setting):
    """Return (value as yaml, whether it must be refused) for a setting."""
    kinds = setting.kind.split(" or ")
    wrong = WRONG.get(kinds[0] if kinds[0] in WRONG else "list", [])
    for value in wrong if len(kinds) == 1 or kinds[1] == "None" else []:
        yield value, True
    if setting.default != "~" and "None" not in kinds and kinds[0] in ("int", "float"):
        yield None, True
    accepted = setting.accepted
    if accepted and "'" in accepted:
        yield "nonsense", True
    elif accepted:
        low, high = accepted[1:-1].split(", ")
        number = int if kinds[0] == "int" else float
        if low != "-inf":
            yield number(low) - 1, True
            yield number(low), accepted[0] == "("
        if high != "inf":
            yield number(high) + 1, True
            # the largest sizes that are accepted would fill the memory of this machine
            if number(high) <= 1:
                yield number(high), accepted[-1] == ")"
        else:
            yield (10**9 if number is int else 1e30), False
            yield number(low) + 1, False
    for value in OTHER.get(setting.name, []):
        yield value, False


def trials():
    """Return (model, setting, value, whether it must be refused), each once."""
    for model in FAMILIES.split():
        for setting in read_settings(OVERALL).values():
            for value, wrong in values(setting):
                yield model, setting.name, value, wrong
    for setting in read_settings(REQUEST_SETTINGS).values():
        for value, wrong in values(setting):
            yield "WhisperLitePlus", setting.name, value, wrong
    for model in MODELS.split():
        for path in settings_files(find_model(model)):
            for setting in read_settings(path).values():
                for value, wrong in values(setting):
                    yield model, setting.name, value, wrong


def run(model, name, value, folder, limit):
    """Return how a run ended and what it printed last.

    Returns:
        tuple: ``taken``, ``refused``, ``traceback`` or ``hang``, and the last lines.
    """
    settings = {
        "data_path": str(folder),
        "encoder": "tfidf",
        "epochs": 1,
        "use_gpu": False,
        "topk": [5],
        "valid_metric": "NDCG@5",
        "checkpoint_dir": str(folder / "saved"),
        "cache_dir": str(folder / "cache"),
    }
    if name in ("topk", "valid_metric", "metrics"):
        settings["valid_metric"] = "NDCG@5"
    if model == "BPR":
        settings["train_neg_sample_args"] = {"distribution": "uniform", "sample_num": 1}
    settings[name] = value
    text = yaml.safe_dump(settings).replace("'.", ".").replace("inf'", "inf")
    text = text.replace("nan'", "nan").replace("'-.inf", "-.inf")
    file = folder / "settings.yaml"
    file.write_text(text)
    argv = [f"--model={model}", "--dataset=shop", f"--config_files={file}"]

    def work(_):
        sys.argv = ["run_recbole.py", *argv]
        return cli.run(argv)

    status, printed = forked.end_of(work, folder, folder / "output.txt", limit)
    if status is None:
        return "hang", printed[-300:]
    if status == 0:
        return "taken", printed[-300:]
    is_sentence = forked.is_sentence(status, printed)
    return "refused" if is_sentence else "traceback", printed[-900:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a run")
    parser.add_argument("--only", help="only settings whose name contains this")
    parser.add_argument("--part", default="0/1", help="1/4: the second of four parts")
    args = parser.parse_args()
    part, parts = map(int, args.part.split("/"))
    warnings.simplefilter("ignore")
    chosen = [t for t in trials() if not args.only or args.only in t[1]][part::parts]
    counts, faults = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as folder:
        folder = write_shop(folder)
        with contextlib.redirect_stdout(io.StringIO()):
            run("BPR", "seed", 1, folder, 300)  # imports what all need
        for model, name, value, wrong in tqdm(chosen, disable=None):
            end, printed = run(model, name, value, folder, args.limit)
            counts[end] += 1
            if end in ("traceback", "hang") or (end == "taken" and wrong):
                faults += 1
                last = printed.strip().splitlines()[-1:] or [""]
                tqdm.write(f"{end}: {model} {name}={value!r}: {last[0][:200]}")
    print(f"{len(chosen)} runs: {dict(counts)}; faults: {faults}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
