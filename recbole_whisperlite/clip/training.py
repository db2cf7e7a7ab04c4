"""Contrastive training of a CLIP model on pictures and their captions.

The loss is open_clip's own: the CLIP objective, with which FashionCLIP was trained (Chia
et al. 2022), or for models with a bias the sigmoid loss of SigLIP (Zhai et al. 2023).
Everything random depends only on the seed, the epoch and the picture: a resumed run
continues as if it had never stopped, and several processes see the same batches as one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed as dist
from open_clip.loss import ClipLoss, SigLipLoss
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from recbole_whisperlite.clip.output import refusals
from recbole_whisperlite.encoder import digest
from recbole_whisperlite.encoder.clip.mini_clip import save_clip
from recbole_whisperlite.encoder.pictures import read_picture
from recbole_whisperlite.encoder.text_tower import TextTower
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import plain, whole_file

if TYPE_CHECKING:
    from recbole_whisperlite.clip.pairs import Pairs
    from recbole_whisperlite.encoder.clip import Clip

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
# A temperature below 0.01 makes training unstable (Radford et al. 2021, section 2.5).
_MOST_LOGIT_SCALE = math.log(100)
_QUERIES_AT_ONCE = 1024
# Chosen by the size of the data: a batch is large, because the other captions in it are
# the negatives of a picture, but an epoch is a few steps at least.
_STEPS_AN_EPOCH, _MOST_BATCH, _MOST_WARMUP = 4, 256, 500
_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Settings that may change when a run is resumed: they do not affect the weights.
_FREE = ("workers", "patience")


def _setting(default, meaning, least=None, by_size=None):
    about = {"meaning": meaning, "least": least, "by_size": by_size}
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; ``clip finetune --help`` explains the settings.

    ``batch_size`` and ``warmup_steps`` are None until :meth:`for_pictures` chooses them.

    Raises:
        UserError: If a setting is out of range.
    """

    epochs: int = _setting(10, "maximum number of passes over the pictures", 1)
    batch_size: int | None = _setting(
        None,
        "pictures per step over all processes, each contrasted with all others",
        2,
        f"a power of two with {_STEPS_AN_EPOCH} steps an epoch or more, at most "
        f"{_MOST_BATCH}",
    )
    learning_rate: float = _setting(1e-5, "of AdamW, at the end of the warm-up")
    weight_decay: float = _setting(
        0.1, "of AdamW; not for biases, norms and temperature", 0
    )
    warmup_steps: int | None = _setting(
        None,
        "steps of linear warm-up, followed by cosine decay to zero",
        0,
        f"a tenth of all steps, at most {_MOST_WARMUP}",
    )
    smallest_crop: float = _setting(
        0.8, "smallest random crop, as a fraction of each side; 1: no cropping"
    )
    flip: bool = _setting(True, "mirror each picture with probability 1/2")
    precision: str = _setting(
        "auto", "fp32, bf16, or auto: bf16 where the device computes in it natively"
    )
    grad_checkpointing: bool = _setting(
        False, "recompute activations in the backward pass to save memory"
    )
    patience: int = _setting(
        5, "stop after this many epochs without improvement on validation; 0: never", 0
    )
    workers: int = _setting(0, "processes that decode pictures", 0)
    seed: int = _setting(2020, "of the split, order, crops and choice of captions", 0)

    def __post_init__(self):
        for item in fields(self):
            value, least = getattr(self, item.name), item.metadata["least"]
            if value is None and item.metadata["by_size"]:
                continue
            if least is not None and not least <= value < math.inf:
                raise UserError(f"{item.name} is {value}; it must be at least {least}.")
        if self.seed >= 2**32:
            raise UserError(f"seed is {self.seed}; it must be less than {2**32}.")
        if not 0 < self.learning_rate < math.inf:
            raise UserError(
                f"learning_rate is {self.learning_rate}; it must be greater than 0."
            )
        if not 0 < self.smallest_crop <= 1:
            raise UserError(
                f"smallest_crop is {self.smallest_crop}; it must be greater than 0 and "
                "at most 1 (no cropping)."
            )
        if self.precision not in ("auto", *_PRECISIONS):
            raise UserError(
                f"precision: '{self.precision}' does not exist. Accepted: auto, "
                f"{', '.join(_PRECISIONS)}."
            )

    def for_pictures(self, n: int, processes: int = 1) -> Recipe:
        """Return the recipe with what was left open chosen by the size of the data.

        Args:
            n (int): Pictures to train on.
            processes (int): A batch is divided evenly among so many.
        """
        batch_size, warmup_steps = self.batch_size, self.warmup_steps
        if batch_size is None:
            most = max(2, min(n // _STEPS_AN_EPOCH, _MOST_BATCH))
            batch_size = 2 ** int(math.log2(most))
            batch_size = max(batch_size // processes, 1) * processes
        if warmup_steps is None:
            steps = n // batch_size * self.epochs
            warmup_steps = min(steps // 10, _MOST_WARMUP)
        return replace(self, batch_size=batch_size, warmup_steps=warmup_steps)


def train_clip(
    clip: Clip,
    train: Pairs,
    valid: Pairs,
    output: str | Path,
    recipe: Recipe,
    test: Pairs | None = None,
    show_progress: bool = True,
) -> list[dict]:
    """Train a model; save the weights of the epoch with the best validation.

    With torch.distributed initialised, each process calls this with the same arguments
    and processes its share of each batch. The losses equal those of one process, except
    for models with batch norms, whose statistics are computed per process.

    Args:
        clip (Clip): The model to start from. It is trained in place.
        train (Pairs): The training pairs. Each epoch leaves out, at random, those that
            do not fill a batch.
        valid (Pairs): The pairs that decide which epoch is best, by mean reciprocal rank
            of text→picture over all its pictures. FashionCLIP's authors found that pairs
            from *outside* the training data make a better stopping rule.
        output (str or Path): The folder for the model (usable as ``clip_model``), a log
            of every epoch (JSON lines), a checkpoint, and the held-out pairs as ground
            truth, ``valid.json`` and ``test.json``. If it holds a checkpoint of the same
            training, the training is resumed from there.
        recipe (Recipe): The settings; what it leaves open is chosen by the number of
            pictures.
        test (Pairs, optional): Pairs that are not used, only listed in ``test.json``.
        show_progress (bool): Whether to show progress bars and a line per epoch.

    Returns:
        list of dict: For each epoch ``epoch, loss, seconds, learning_rate`` and, on
        ``valid``, ``recall@1, recall@10, mrr``.

    Raises:
        UserError: If there are too few pictures, the batch cannot be divided among the
            processes, the checkpoint belongs to another training, or the loss is not
            finite. The first three are checked before anything is written.
        PictureError: If a picture cannot be read.
    """
    training = _Training(clip, train, valid, Path(output), recipe, show_progress)
    log = training.resume()
    if training.rank == 0:
        training.warn_of_steps()
        for name, pairs in (("valid", valid), ("test", test)):
            if pairs is not None and len(pairs):
                _write_json(training.output / f"{name}.json", pairs.ground_truth())
    return training.run(log)


def best_of(log: list[dict]) -> dict:
    """Return the entry of the best epoch, the first one if several are equal."""
    return max(log, key=lambda entry: entry["mrr"])


def check_share(batch_size: int, processes: int) -> None:
    """Raise a UserError if a batch cannot be divided evenly among the processes."""
    if batch_size % processes:
        raise UserError(
            f"batch_size {batch_size} cannot be divided among {processes} processes: "
            f"give a multiple of {processes}."
        )


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Return the learning rate of a step, counted from 0, out of ``steps``.

    It grows linearly during the warm-up, then follows half a cosine that would reach
    zero one step after the last. The recipe leaves nothing open.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / (steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


class _Training:
    def __init__(self, clip, train, valid, output, recipe, show_progress):
        self.clip, self.model = clip, clip.model
        self.train, self.valid = train, valid
        self.output = output
        self.is_distributed = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if self.is_distributed else 0
        self.world_size = dist.get_world_size() if self.is_distributed else 1
        self.show_progress = show_progress and self.rank == 0
        self.recipe = recipe = recipe.for_pictures(len(train), self.world_size)
        _check_sizes(recipe, train, valid, self.world_size)
        self.identity = self._identity()
        self.dtype = _dtype(recipe.precision, clip.device)
        tower = TextTower(
            self.model, clip.tokenizer, clip.device, self._bar, packed=False
        )
        if recipe.grad_checkpointing:
            self.model.set_grad_checkpointing()
        self.towers = _Towers(self.model, tower)
        if self.is_distributed:
            self.towers = torch.nn.parallel.DistributedDataParallel(self.towers)
        self.is_sigmoid = getattr(self.model, "logit_bias", None) is not None
        share = {"rank": self.rank, "world_size": self.world_size}
        self.loss = (
            SigLipLoss(**share)
            if self.is_sigmoid
            else ClipLoss(gather_with_grad=True, **share)
        )
        self.optimizer = _optimizer(self.model, recipe)
        self.steps = len(train) // recipe.batch_size
        self.examples = _Examples(train, clip, recipe)

    def warn_of_steps(self) -> None:
        """Warn if training ends before the warm-up does."""
        steps = self.steps * self.recipe.epochs
        if steps < self.recipe.warmup_steps:
            logging.getLogger().warning(
                f"warmup_steps is {self.recipe.warmup_steps}, but the training has only "
                f"{steps} steps: the learning rate stops growing at "
                f"{learning_rate(steps - 1, steps, self.recipe):.3g}."
            )

    def run(self, log: list[dict]) -> list[dict]:
        """Train the epochs that are not yet in ``log``; return the whole log."""
        patience = self.recipe.patience
        while len(log) < self.recipe.epochs:
            if log and len(log) - best_of(log)["epoch"] >= patience > 0:
                break
            entry = self._epoch(len(log))
            if self.rank == 0:
                entry.update(self._validate())
            log.append(self._from_first(entry))
            if self.rank == 0:
                with refusals(self.output):
                    if best_of(log) is log[-1]:
                        self._save_model()
                    self._save_checkpoint(log)
            if self.show_progress:
                tqdm.write(_line(entry))
        return log

    def _epoch(self, epoch):
        recipe = self.recipe
        # For models with dropout.
        torch.manual_seed(recipe.seed + epoch)
        order = np.random.default_rng((recipe.seed, epoch)).permutation(len(self.train))
        batches = order[: self.steps * recipe.batch_size].reshape(self.steps, -1)
        self.examples.epoch = epoch
        loader = DataLoader(
            self.examples,
            batch_sampler=[batch[self.rank :: self.world_size] for batch in batches],
            num_workers=recipe.workers,
        )
        self.model.train()
        losses = []
        start = time.perf_counter()
        with self._bar(self.steps, f"epoch {epoch + 1} of {recipe.epochs}") as bar:
            for step, (pictures, tokens) in enumerate(loader, epoch * self.steps):
                rate = learning_rate(step, self.steps * recipe.epochs, recipe)
                losses.append(self._step(pictures, tokens, rate))
                bar.set_postfix(loss=f"{losses[-1]:.3f}")
                bar.update()
        return {
            "epoch": epoch + 1,
            "loss": self._mean(losses),
            "seconds": time.perf_counter() - start,
            "learning_rate": rate,
        }

    def _step(self, pictures, tokens, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        device = self.clip.device
        pictures = pictures.to(
            device, memory_format=torch.channels_last, non_blocking=True
        )
        with torch.autocast(
            device.type, self.dtype, enabled=self.dtype != torch.float32
        ):
            picture_e, text_e = self.towers(pictures, tokens.to(device))
        scale = self.model.logit_scale.exp()
        bias = self.model.logit_bias if self.is_sigmoid else None
        loss = self.loss(picture_e.float(), text_e.float(), scale, bias)
        if not loss.isfinite():
            raise UserError(
                f"The loss is {loss.item()}: the training has diverged. Set a smaller "
                "learning_rate, or more warmup_steps."
            )
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        if not self.is_sigmoid:
            with torch.no_grad():
                self.model.logit_scale.clamp_(0, _MOST_LOGIT_SCALE)
        return loss.item()

    def _validate(self):
        pictures, _ = self.clip.encode_pictures(
            self.valid.pictures, workers=self.recipe.workers, progress=False
        )
        # The other captions are variations of the first.
        texts = self.clip.encode_texts(
            [captions[0] for captions in self.valid.captions], progress=False
        )
        return retrieval(texts, pictures)

    def _mean(self, losses):
        """Return the mean over steps and processes: their sigmoid losses differ."""
        mean = torch.tensor(losses, dtype=torch.float64).mean().to(self.clip.device)
        if self.is_distributed:
            dist.all_reduce(mean)
        return mean.item() / self.world_size

    def _from_first(self, entry):
        """Return the entry of the first process in all processes."""
        if self.is_distributed:
            entries = [entry]
            dist.broadcast_object_list(entries)
            (entry,) = entries
        return entry

    def _save_model(self):
        kept = getattr(self.clip.tokenizer, "kept_tokens", None)
        save_clip(self.output, self.model, **self.clip.config(), kept_tokens=kept)

    # ------------------------------------------------------------ checkpoints

    def resume(self) -> list[dict]:
        """Load the checkpoint, if there is one; return its log."""
        path = self.output / CHECKPOINT
        if not path.is_file():
            return []
        try:
            found = torch.load(path, map_location=self.clip.device, weights_only=True)
            theirs = dict(found["training"])
            parts = found["model"], found["optimizer"], list(found["log"])
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path} is not a readable checkpoint; remove it to start over. "
                f"({reason})"
            ) from error
        differ = [
            f"{name} is {theirs.get(name)} there and {value} here"
            for name, value in self.identity.items()
            if theirs.get(name) != value
        ]
        if differ:
            raise UserError(
                f"{path} belongs to another training: {'; '.join(differ)}. Give another "
                "--output, or remove that folder."
            )
        model, optimizer, log = parts
        try:
            self.model.load_state_dict(model)
            self.optimizer.load_state_dict(optimizer)
        except Exception as error:  # torch raises all sorts of them
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"{path} is damaged; remove it to start over. ({reason})"
            ) from error
        return log

    def _save_checkpoint(self, log):
        with whole_file(self.output / LOG) as path:
            path.write_text("".join(json.dumps(e) + "\n" for e in log), "utf-8")
        found = {
            "training": self.identity,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "log": log,
        }
        with whole_file(self.output / CHECKPOINT) as path:
            try:
                torch.save(found, path)
            except RuntimeError:
                # torch says where in its code it stopped, not why.
                raise OSError("torch could not write the whole file") from None

    def _identity(self):
        """What must be the same for a checkpoint to be resumed."""
        pairs = [[part.ids, part.captions] for part in (self.train, self.valid)]
        return {
            "the hash of the model to start from": _hash(self.clip),
            "the hash of ids and captions": digest.of_json(pairs),
            **{k: v for k, v in asdict(self.recipe).items() if k not in _FREE},
        }

    def _bar(self, total, description):
        return tqdm(
            total=total,
            desc=description,
            unit="step",
            disable=None if self.show_progress else True,
        )


def retrieval(texts: np.ndarray, pictures: np.ndarray) -> dict[str, float]:
    """Measure text→picture search among pairs.

    Args:
        texts (numpy.ndarray): Unit vectors, float32 ``[n, dim]``.
        pictures (numpy.ndarray): Those of the pictures they belong to, in that order.

    Returns:
        dict: ``recall@1``, ``recall@10`` and ``mrr``; among equal scores the right
        picture is ranked last.
    """
    rank = np.empty(len(texts))
    for start in range(0, len(texts), _QUERIES_AT_ONCE):
        rows = slice(start, start + _QUERIES_AT_ONCE)
        scores = texts[rows] @ pictures.T
        right = np.take_along_axis(scores, np.arange(len(texts))[rows, None], axis=1)
        # Not "scores >= right": NaN scores must count against the model.
        rank[rows] = (~(scores < right)).sum(axis=1)
    return {
        "recall@1": float(np.mean(rank <= 1)),
        "recall@10": float(np.mean(rank <= 10)),
        "mrr": float(np.mean(1 / rank)),
    }


class _Towers(torch.nn.Module):
    """Both towers in one forward pass, as DistributedDataParallel requires."""

    def __init__(self, model, tower):
        super().__init__()
        self.model, self.tower = model, tower

    def forward(
        self, pictures: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        picture_e = functional.normalize(self.model.encode_image(pictures), dim=-1)
        if self.tower.stops_at_end:
            tokens = tokens[:, : self.tower.ends(tokens).max()]
            return picture_e, self.tower.embed_to_end(tokens)
        return picture_e, functional.normalize(self.model.encode_text(tokens), dim=-1)


class _Examples(Dataset):
    """Pictures, each with one of its captions; both crop and caption vary by epoch."""

    def __init__(self, pairs, clip, recipe):
        self.pairs, self.recipe, self.epoch = pairs, recipe, 0
        self.preprocess, self.tokenizer = clip.preprocess, clip.tokenizer

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, row):
        recipe, captions = self.recipe, self.pairs.captions[row]
        rng = np.random.default_rng((recipe.seed, self.epoch, int(row)))
        picture = read_picture(self.pairs.pictures[row])
        picture = _crop(picture, recipe.smallest_crop, rng)
        if recipe.flip and rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        tokens = self.tokenizer([captions[rng.integers(len(captions))]])[0]
        return self.preprocess(picture), tokens


def _crop(picture, smallest, rng):
    """Return a random crop with the same aspect ratio."""
    share = rng.uniform(smallest, 1)
    width, height = (max(1, round(side * share)) for side in picture.size)
    left = rng.integers(picture.width - width + 1)
    top = rng.integers(picture.height - height + 1)
    return picture.crop((left, top, left + width, top + height))


def _optimizer(model, recipe):
    """AdamW as in open_clip: parameters of fewer than two dimensions do not decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {
                "params": [p for p in trained if p.ndim >= 2],
                "weight_decay": recipe.weight_decay,
            },
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
        eps=1e-6,
    )


def _dtype(precision, device):
    if precision != "auto":
        return _PRECISIONS[precision]
    if device.type == "cuda":
        # Older GPUs only emulate it, slowly; so do CPUs without the instructions.
        fast = torch.cuda.get_device_capability(device)[0] >= 8
    else:
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", bool)
        fast = device.type == "cpu" and supported()
    return torch.bfloat16 if fast else torch.float32


def _check_sizes(recipe, train, valid, world_size):
    check_share(recipe.batch_size, world_size)
    if len(train) < recipe.batch_size:
        raise UserError(
            f"batch_size is {recipe.batch_size}, but there are {len(train):,} pictures "
            "to train on. Set a smaller batch_size, or give more pictures."
        )
    if not len(valid):
        raise UserError(
            "No picture is left for validation: set valid_ratio or --valid."
        )


def _hash(clip):
    """Return the hash of a model's settings and weights."""
    found = hashlib.blake2b(digest_size=20)
    found.update(json.dumps(clip.config(), sort_keys=True, default=plain).encode())
    for name, tensor in clip.model.state_dict().items():
        found.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _write_json(path, value):
    with refusals(path), whole_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False), "utf-8")


def _line(entry):
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in entry.items()
    )
