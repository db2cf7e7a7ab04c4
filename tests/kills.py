"""What is left where a process is killed at a random moment, as by a power cut or for want
of memory.

A longer measurement than the tests have time for, as figures for docs/reliability.md::

    PYTHONPATH=.:tests python tests/kills.py --times 100

Training, a benchmark, ``prepare``, the cache of vectors and ``export`` run to their end
once, and then again and again in a folder of their own, each time killed (signal 9) at a
moment that is drawn at random, and run again. Faults, each of which is printed, are:

- a file that cannot be read, or that is another than that of the undisturbed run;
- a second run that fails, or whose result is not that of the undisturbed run to the digit;
  for training also one that resumes from the checkpoint;
- a temporary file that is left after the second run;
- a process that is left alive.
"""

import argparse
import contextlib
import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import psutil
import yaml
from tqdm import tqdm

import recbole_whisperlite  # noqa: F401  (RecBole comes after, and finds us)
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from recbole_whisperlite import cli
from recbole_whisperlite.compat.checkpoint import load_checkpoint
from recbole_whisperlite.encoder import cache
from recbole_whisperlite.recommend.recommender import Recommender
from forked import fork
from wrong_settings import write_shop

#: Columns of a table that differ from run to run.
_OF_TIME = ("train_seconds", "peak_memory_mb")


class Fault(Exception):
    """What should not be: its text says what."""


def finish(work, folder):
    """Run a function to its end in a process of its own; return its seconds."""
    start = time.monotonic()
    child = fork(work, folder, folder.parent / "output.txt")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        last = (folder.parent / "output.txt").read_text(errors="replace")[-400:]
        raise Fault(f"the run ended with status {status}: {last}")
    return time.monotonic() - start


def kill(work, folder, seconds):
    """Kill a function's process after some seconds; return whether it was still running."""
    child = fork(work, folder, folder.parent / "output.txt")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    children = psutil.Process(child).children(recursive=True)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    # long enough for a machine with much else to do
    _, alive = psutil.wait_procs(children, timeout=30)
    for process in alive:
        process.kill()
    if alive:
        told = "; ".join(map(str, alive))
        raise Fault(f"{len(alive)} processes were left alive: {told}")
    return True


def command(*argv):
    """Run the command line of the package; return its status."""
    sys.argv = ["recbole-whisperlite", *map(str, argv)]
    return cli.main(list(map(str, argv)))


class Training:
    """A model is trained, and its checkpoint and result are written."""

    def __init__(self, shop):
        self.settings = {
            "data_path": str(shop),
            "encoder": "tfidf",
            "epochs": 8,
            "train_batch_size": 16,
            "topk": [5],
            "valid_metric": "NDCG@5",
            "use_gpu": False,
            "show_progress": False,
            "state": "ERROR",
        }

    def prepare(self, folder):
        """Write what a run needs."""
        (folder / "settings.yaml").write_text(yaml.safe_dump(self.settings))

    def run(self, folder):
        """Do the work, as the command line does."""
        return command(
            *("run", "--model=WhisperLitePlus", "--dataset=shop"),
            *("--config_files=settings.yaml", "--checkpoint_dir=saved"),
            *(
                "--cache_dir=cache",
                "--result_file=result.json",
                "--unit_file=units.npz",
            ),
        )

    def check(self, folder):
        """Read all that is there."""
        for path in folder.glob("saved/*.pth"):
            load_checkpoint(path, "cpu")
        with contextlib.suppress(FileNotFoundError):
            json.loads((folder / "result.json").read_text())
        if (folder / "units.npz").exists():
            _arrays(folder / "units.npz")

    def result(self, folder):
        """Return what must be the same to the digit."""
        result = json.loads((folder / "result.json").read_text())
        ranks = _arrays(folder / "units.npz")
        return result["test_result"], {name: ranks[name].tolist() for name in ranks}

    def resume(self, folder):
        """Return the test result of a run that goes on from a killed one's checkpoint;
        None if it left none."""
        checkpoints = sorted(folder.glob("saved/*.pth"))
        if not checkpoints:
            return None

        def resumed(folder):
            config = Config("WhisperLitePlus", "shop", config_dict=self.settings)
            init_seed(config["seed"], config["reproducibility"])
            train, valid, test = data_preparation(config, create_dataset(config))
            init_seed(config["seed"], config["reproducibility"])
            model = get_model(config["model"])(config, train._dataset)
            trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
            trainer.resume_checkpoint(str(checkpoints[0]))
            trainer.fit(train, valid, verbose=False)
            result = trainer.evaluate(test, load_best_model=True)
            Path("resumed.json").write_text(json.dumps(dict(result)))

        finish(resumed, folder)
        return json.loads((folder / "resumed.json").read_text())


class Benchmark:
    """Two models are compared, each in a process of its own."""

    def __init__(self, shop):
        self.settings = {
            "dataset": "shop",
            "data_path": str(shop),
            "encoder": "tfidf",
            "topk": [5],
            "valid_metric": "NDCG@5",
            "use_gpu": False,
            "reference": "BM25",
            "models": {"BM25": None, "RequestPop": None},
        }

    def prepare(self, folder):
        (folder / "settings.yaml").write_text(yaml.safe_dump(self.settings))

    def run(self, folder):
        return command(
            "benchmark", "--config_files=settings.yaml", "--output=table", "--seeds=1"
        )

    def check(self, folder):
        for path in folder.glob("table/**/*"):
            if path.suffix == ".json" and not path.name.startswith("."):
                json.loads(path.read_text())
            elif path.suffix == ".npz" and not path.name.startswith("."):
                _arrays(path)
            elif path.name == "report.html" and "</html>" not in path.read_text():
                raise Fault("half of report.html")

    def result(self, folder):
        with open(folder / "table" / "benchmark.csv", newline="") as file:
            return [
                {k: v for k, v in row.items() if k not in _OF_TIME}
                for row in csv.DictReader(file)
            ]


class Preparing:
    """A dataset is converted, over an older one of the same name."""

    def __init__(self, shop):
        rng = random.Random(2)
        films = [f"{n},Film {n} ({1990 + n % 30}),Drama|Comedy" for n in range(400)]
        self.tables = {"movies": ["movieId,title,genres", *films], "links": []}
        ratings = ["userId,movieId,rating,timestamp"]
        tags = ["userId,movieId,tag,timestamp"]
        for user in range(300):
            for turn, film in enumerate(rng.sample(range(400), 30)):
                ratings.append(f"{user},{film},{rng.choice([3.0, 4.0, 5.0])},{turn}")
                if turn % 3 == 0:
                    tag = rng.choice(["funny", "dark comedy", "twist ending"])
                    tags.append(f"{user},{film},{tag},{turn}")
        self.tables |= {"ratings": ratings, "tags": tags}

    def prepare(self, folder):
        for part, share in (("old", 2), ("new", 1)):
            (folder / part).mkdir()
            for name, lines in self.tables.items():
                kept = lines if name == "movies" else lines[: len(lines) // share]
                (folder / part / f"{name}.csv").write_text("\n".join(kept) + "\n")
        finish(lambda _: self._convert("old"), folder)
        self.before = self.result(folder)

    def _convert(self, part):
        return command(
            "prepare", "movielens", "--input", part, "--output", "data/films"
        )

    def run(self, folder):
        return self._convert("new")

    def check(self, folder):
        if not (folder / "data" / "films" / "films.inter").exists():
            return  # no dataset: nobody trains on half of one
        if self.result(folder) not in (self.before, getattr(self, "after", None)):
            raise Fault("the dataset is neither the old one nor the new one")

    def result(self, folder):
        found = sorted((folder / "data" / "films").glob("films.*"))
        found = {path.name: path.read_bytes() for path in found}
        if getattr(self, "before", found) != found:
            self.after = getattr(self, "after", found)
        return found


class Encoding:
    """Texts are encoded into the cache of vectors."""

    texts = [f"text {n}" for n in range(60_000)]

    def __init__(self, shop):
        pass

    def fingerprint(self):
        return "an encoder for kills.py"

    def report(self, vectors):
        pass

    def encode(self, texts):
        number = np.array([int(text.split()[1]) for text in texts], dtype=np.float32)
        return np.sin(number[:, None] * np.arange(1, 129, dtype=np.float32) / 7)

    def prepare(self, folder):
        pass

    def run(self, folder):
        cache.vectors(self, "own", self.texts, "cache", np.dtype("float32"))

    def check(self, folder):
        for path in folder.glob("cache/*.npy"):
            np.load(path, allow_pickle=False)

    def result(self, folder):
        (path,) = folder.glob("cache/*.npy")
        return np.load(path, allow_pickle=False).tobytes()


class Exporting:
    """A checkpoint becomes a folder that answers."""

    def __init__(self, shop):
        self.training = Training(shop)
        self.home = Path(shop).parent / "trained"
        self.home.mkdir()
        self.training.prepare(self.home)
        finish(self.training.run, self.home)
        (self.checkpoint,) = self.home.glob("saved/*.pth")

    def prepare(self, folder):
        pass

    def run(self, folder):
        return command("export", "--checkpoint", self.checkpoint, "--output", "model")

    def check(self, folder):
        if (folder / "model").exists():
            self.result(folder)

    def result(self, folder):
        shop = Recommender.load(folder / "model")
        answers = (shop.recommend("a red thing", user=user) for user in ("u1", None))
        return [[(each.item, each.score) for each in answer] for answer in answers]


JOBS = {
    "training": Training,
    "benchmark": Benchmark,
    "prepare": Preparing,
    "encode": Encoding,
    "export": Exporting,
}


def _arrays(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise Fault(f"{path.name} is broken: {error}") from error


def left_in(folder):
    """Return the temporary files below a folder."""
    return [path for path in folder.rglob("*") if path.name.endswith(".part")]


def once(job, folder, wanted, seconds):
    """Kill a job once and run it again; return whether the kill came in time, and whether
    something was there to resume."""
    job.prepare(folder)
    in_time = kill(job.run, folder, seconds)
    job.check(folder)
    resumed = job.resume(folder) if hasattr(job, "resume") else None
    if resumed is not None and in_time:
        given = wanted[0] if isinstance(wanted, tuple) else wanted
        if resumed != given:
            raise Fault(f"a resumed run has {resumed}, not {given}")
    finish(job.run, folder)
    if job.result(folder) != wanted:
        raise Fault("the run after it has another result")
    if left := left_in(folder):
        raise Fault(f"left behind: {', '.join(path.name for path in left)}")
    return in_time, resumed is not None


def measure(name, times, seed):
    """Kill a job until so many kills came before its end; return how many faults it had,
    after printing them and a line of figures."""
    rng, faults, runs, killed, resumed = random.Random(seed), 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as home:
        home = Path(home)
        shop = home / "data"
        shop.mkdir()
        job = JOBS[name](write_shop(shop))
        whole = home / "whole" / "run"
        whole.mkdir(parents=True)
        job.prepare(whole)
        seconds = finish(job.run, whole)
        wanted = job.result(whole)
        with tqdm(total=times, desc=name, disable=None) as bar:
            while killed + faults < times:
                runs += 1
                folder = home / f"{runs}" / "run"
                folder.mkdir(parents=True)
                moment = rng.uniform(0, seconds)
                try:
                    in_time, was_resumed = once(job, folder, wanted, moment)
                    killed, resumed = killed + in_time, resumed + was_resumed
                    bar.update(in_time)
                except Exception as fault:
                    faults += 1
                    bar.update()
                    text = f"{type(fault).__name__}: {fault}"
                    tqdm.write(f"{name}, killed after {moment:.3f} s: {text[:600]}")
                shutil.rmtree(folder.parent)
    print(
        f"{name}, about {seconds:.1f} s: {killed + faults} kills before the end (of "
        f"{runs}), {resumed} resumed, {faults} faults",
        flush=True,
    )
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=100, help="kills for each job")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    faults = sum(measure(name, args.times, args.seed) for name in args.jobs)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
