"""Contrastive training of a CLIP model on pictures and their captions.

The loss is open_clip's own: the CLIP objective, as FashionCLIP is trained (Chia et al.
2022), or for models that have a bias the sigmoid loss, as SigLIP is (Zhai et al. 2023).
Everything random depends on the seed, the epoch and the picture alone: a run that is
resumed goes on as if it had not stopped, and several processes see the batches that one
would see.
"""

import hashlib
import json
import logging
import math
import time
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

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

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
# A temperature below 0.01 makes training unstable (Radford et al. 2021, section 2.5).
_MOST_LOGIT_SCALE = math.log(100)
_QUERIES_AT_ONCE = 1024
_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
# What may change between the parts of a training: it changes no weight.
_FREE = ("workers", "patience")


def _setting(default, meaning, least=None):
    return field(default=default, metadata={"meaning": meaning, "least": least})


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; ``clip finetune --help`` says what each setting means.

    Raises:
        UserError: If a setting is out of its range.
    """

    epochs: int = _setting(10, "the most passes over the pictures", 1)
    batch_size: int = _setting(
        256, "pictures a step, over all processes, each contrasted with all others", 2
    )
    learning_rate: float = _setting(1e-5, "of AdamW, at the end of the warm-up")
    weight_decay: float = _setting(0.1, "not of biases, norms and temperature", 0)
    warmup_steps: int = _setting(
        100, "steps of linear growth, before half a cosine to zero", 0
    )
    smallest_crop: float = _setting(
        0.8, "pictures are cropped at random to this share of each side; 1: never"
    )
    flip: bool = _setting(True, "mirror every other picture")
    precision: str = _setting(
        "auto", "fp32, bf16, or auto: bf16 where the device computes in it"
    )
    grad_checkpointing: bool = _setting(
        False, "compute activations twice, to hold fewer in memory"
    )
    patience: int = _setting(
        5, "stop after so many epochs without a better validation; 0: never", 0
    )
    workers: int = _setting(0, "processes that decode pictures", 0)
    seed: int = _setting(2020, "of order, crops and choice of captions", 0)

    def __post_init__(self):
        for item in fields(self):
            value, least = getattr(self, item.name), item.metadata["least"]
            if least is not None and not least <= value < math.inf:
                raise UserError(f"{item.name} is {value}; it must be at least {least}.")
        if self.seed >= 2**32:
            raise UserError(f"seed is {self.seed}; it must be less than {2**32}.")
        if not 0 < self.learning_rate < math.inf:
            raise UserError(
                f"learning_rate is {self.learning_rate}; it must be above 0."
            )
        if not 0 < self.smallest_crop <= 1:
            raise UserError(
                f"smallest_crop is {self.smallest_crop}; accepted are shares above 0, "
                "up to 1 (no cropping)."
            )
        if self.precision not in ("auto", *_PRECISIONS):
            raise UserError(
                f"precision: '{self.precision}' does not exist. Accepted are auto, "
                f"{', '.join(_PRECISIONS)}."
            )


def train_clip(clip, train, valid, output, recipe, test=None, show_progress=True):
    """Train a model; keep the weights of the epoch with the best validation.

    With torch.distributed initialised, each process calls this with the same arguments
    and does its share of each batch. The losses are those of one process, but for
    models with batch norms, whose statistics are each process's own.

    Args:
        clip (Clip): The model to start from. It is trained in place.
        train (Pairs): What it learns from. Each epoch leaves out, at random, what fills
            no batch.
        valid (Pairs): What decides which epoch was best, by mean reciprocal rank of
            text→picture over all its pictures. FashionCLIP's authors found that pairs
            from *outside* the training data make the better stopping rule.
        output (str or Path): A folder: the model (as ``clip_model`` takes it), a log of
            every epoch (json lines), a checkpoint, and what was kept out of training as
            ground truth, ``valid.json`` and ``test.json``. A checkpoint of the same
            training that is there is gone on from.
        recipe (Recipe): How.
        test (Pairs, optional): What is used for nothing.
        show_progress (bool): Whether bars and a line an epoch show.

    Returns:
        list of dict: For each epoch ``epoch, loss, seconds, learning_rate`` and the
        validation's ``recall@1, recall@10, mrr``.

    Raises:
        UserError: If there are too few pictures, the batch cannot be shared by the
            processes, the checkpoint is of another training, or the loss is no longer a
            number. Nothing is written before the first three are known to be fine.
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


def best_of(log):
    """Return the entry of the best epoch, the first of equals."""
    return max(log, key=lambda entry: entry["mrr"])


def check_share(batch_size, processes):
    """Raise a UserError if a batch cannot be shared by so many processes."""
    if batch_size % processes:
        raise UserError(
            f"batch_size {batch_size} cannot be shared by {processes} processes: name a "
            "multiple of their number."
        )


def learning_rate(step, steps, recipe):
    """Return the learning rate of a step, counted from 0, of ``steps`` in all.

    It grows linearly over the warm-up, then falls along half a cosine, which would reach
    zero one step after the last.
    """
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    done = (step - recipe.warmup_steps) / (steps - recipe.warmup_steps)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


class _Training:
    def __init__(self, clip, train, valid, output, recipe, show_progress):
        self.clip, self.model, self.recipe = clip, clip.model, recipe
        self.train, self.valid = train, valid
        self.output = output
        self.is_distributed = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if self.is_distributed else 0
        self.world_size = dist.get_world_size() if self.is_distributed else 1
        self.show_progress = show_progress and self.rank == 0
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

    def warn_of_steps(self):
        """Warn if the learning rate never gets where the recipe says."""
        steps = self.steps * self.recipe.epochs
        if steps < self.recipe.warmup_steps:
            logging.getLogger().warning(
                f"warmup_steps is {self.recipe.warmup_steps}, but the training has "
                f"{steps} steps: the learning rate stops growing at "
                f"{learning_rate(steps - 1, steps, self.recipe):.3g}."
            )

    def run(self, log):
        """Train from the epoch after those in ``log``, to the end."""
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
                f"The loss is {loss.item()}: the training has diverged. Name a smaller "
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
        # The first caption is what the others are variations of.
        texts = self.clip.encode_texts(
            [captions[0] for captions in self.valid.captions], progress=False
        )
        return retrieval(texts, pictures)

    def _mean(self, losses):
        """Return the mean over steps and processes: the sigmoid loss is in shares."""
        mean = torch.tensor(losses, dtype=torch.float64).mean().to(self.clip.device)
        if self.is_distributed:
            dist.all_reduce(mean)
        return mean.item() / self.world_size

    def _from_first(self, entry):
        """Return what the first process has."""
        if self.is_distributed:
            entries = [entry]
            dist.broadcast_object_list(entries)
            (entry,) = entries
        return entry

    def _save_model(self):
        kept = getattr(self.clip.tokenizer, "kept_tokens", None)
        save_clip(self.output, self.model, **self.clip.config(), kept_tokens=kept)

    # ------------------------------------------------------------ checkpoints

    def resume(self):
        """Load the checkpoint, if there is one; return the log up to it."""
        path = self.output / CHECKPOINT
        if not path.is_file():
            return []
        try:
            found = torch.load(path, map_location=self.clip.device, weights_only=True)
            theirs = dict(found["training"])
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{path} is no checkpoint that can be read; remove it to start anew. "
                f"({reason})"
            ) from error
        differ = [
            f"{name} is {theirs.get(name)} there and {value} here"
            for name, value in self.identity.items()
            if theirs.get(name) != value
        ]
        if differ:
            raise UserError(
                f"{path} is of another training: {'; '.join(differ)}. Name another "
                "--output, or remove that folder."
            )
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        return found["log"]

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
                # torch says where in its own code it stopped, not why.
                raise OSError("torch could not write all of it") from None

    def _identity(self):
        """What must be the same for a checkpoint to be gone on from."""
        pairs = [[part.ids, part.captions] for part in (self.train, self.valid)]
        return {
            "the hash of the model to start from": _hash(self.clip),
            "the hash of ids and captions": digest.of_json(pairs),
            **{k: v for k, v in asdict(self.recipe).items() if k not in _FREE},
        }

    def _bar(self, total, description):
        return tqdm(
            total=total, desc=description, unit="step", disable=not self.show_progress
        )


def retrieval(texts, pictures):
    """Measure text→picture search among pairs.

    Args:
        texts (numpy.ndarray): Unit vectors, float32 ``[n, dim]``.
        pictures (numpy.ndarray): Those of the pictures they belong to, in that order.

    Returns:
        dict: ``recall@1``, ``recall@10`` and ``mrr``; of equal scores the right one is
        taken to be last.
    """
    rank = np.empty(len(texts))
    for start in range(0, len(texts), _QUERIES_AT_ONCE):
        rows = slice(start, start + _QUERIES_AT_ONCE)
        scores = texts[rows] @ pictures.T
        right = np.take_along_axis(scores, np.arange(len(texts))[rows, None], axis=1)
        # Not "as good or better": a score that is not a number counts against us.
        rank[rows] = (~(scores < right)).sum(axis=1)
    return {
        "recall@1": float(np.mean(rank <= 1)),
        "recall@10": float(np.mean(rank <= 10)),
        "mrr": float(np.mean(1 / rank)),
    }


class _Towers(torch.nn.Module):
    """Both towers in one forward pass, as DistributedDataParallel needs it."""

    def __init__(self, model, tower):
        super().__init__()
        self.model, self.tower = model, tower

    def forward(self, pictures, tokens):
        picture_e = functional.normalize(self.model.encode_image(pictures), dim=-1)
        if self.tower.stops_at_end:
            tokens = tokens[:, : self.tower.ends(tokens).max()]
            return picture_e, self.tower.embed_to_end(tokens)
        return picture_e, functional.normalize(self.model.encode_text(tokens), dim=-1)


class _Examples(Dataset):
    """A picture and one of its captions, cropped and chosen anew each epoch."""

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
    """Cut out a random part of the same proportions."""
    share = rng.uniform(smallest, 1)
    width, height = (max(1, round(side * share)) for side in picture.size)
    left = rng.integers(picture.width - width + 1)
    top = rng.integers(picture.height - height + 1)
    return picture.crop((left, top, left + width, top + height))


def _optimizer(model, recipe):
    """AdamW as open_clip has it: what is less than a matrix does not decay."""
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
        # Older ones only pretend to, slowly; so do processors without the instructions.
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
            "to train on. Name a smaller one, or give more pictures."
        )
    if not len(valid):
        raise UserError(
            "No picture is left to validate on: set valid_ratio or --valid."
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
