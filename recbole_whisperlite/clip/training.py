"""Contrastive training of a CLIP model on pictures and their captions.

The loss is open_clip's own (the CLIP objective, as FashionCLIP is trained, Chia et al.
2022). Everything random depends on the seed, the epoch and the picture alone: a run that
is resumed goes on as if it had not stopped, and several processes see the batches that
one would see.
"""

import json
import logging
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from open_clip.loss import ClipLoss
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from recbole_whisperlite.clip.folder import save_clip
from recbole_whisperlite.encoder.pictures import read_picture
from recbole_whisperlite.encoder.text_tower import TextTower
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import whole_file

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"
# A temperature below 0.01 makes training unstable (Radford et al. 2021, section 2.5).
_MOST_LOGIT_SCALE = math.log(100)
_QUERIES_AT_ONCE = 1024


@dataclass
class Recipe:
    """How a model is trained.

    Attributes:
        epochs (int): The most passes over the pictures.
        batch_size (int): Pictures a step, over all processes. Each is contrasted with
            all others of the step.
        learning_rate (float): At the end of the warm-up, of AdamW.
        weight_decay (float): Of AdamW; not of biases, norms and the temperature.
        warmup_steps (int): Steps of linear growth, before the cosine to zero.
        smallest_crop (float): Pictures are cropped at random to this share of each side
            at least; 1: never.
        flip (bool): Whether every other picture is mirrored.
        precision (str): ``fp32``, ``bf16``, ``fp16`` (cuda only), or ``auto``: bf16
            where the device computes in it, else fp32.
        grad_checkpointing (bool): Compute activations twice to hold fewer.
        patience (int): Stop after so many epochs without a better validation.
        workers (int): Processes that decode pictures.
        seed (int): Of order, crops and choice of captions.
    """

    epochs: int = 10
    batch_size: int = 256
    learning_rate: float = 1e-5
    weight_decay: float = 0.1
    warmup_steps: int = 100
    smallest_crop: float = 0.8
    flip: bool = True
    precision: str = "auto"
    grad_checkpointing: bool = False
    patience: int = 5
    workers: int = 0
    seed: int = 2020


@dataclass
class Progress:
    """Where a training stands; what a checkpoint keeps beside weights."""

    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    log: list = field(default_factory=list)


def train_clip(clip, train, valid, output, recipe, show_progress=True):
    """Train a model; keep the weights of the epoch with the best validation.

    With torch.distributed initialised, each process calls this with the same arguments
    and does its share of each batch.

    Args:
        clip (Clip): The model to start from. It is trained in place.
        train (Pairs): What it learns from.
        valid (Pairs): What decides which epoch was best, by mean reciprocal rank of
            text→picture over all its pictures. FashionCLIP's authors found that pairs
            from *outside* the training data make the better stopping rule.
        output (str or Path): A folder: the model (as ``clip_model`` takes it), a log of
            every epoch (json lines) and a checkpoint. A checkpoint of the same training
            that is there is gone on from.
        recipe (Recipe): How.
        show_progress (bool): Whether bars show.

    Returns:
        list of dict: For each epoch ``epoch, loss, seconds, learning_rate`` and the
        validation's ``recall@1, recall@10, mrr``.

    Raises:
        UserError: If a setting is out of its range, there are fewer pictures than a
            batch has, or the checkpoint is of another training.
        PictureError: If a picture cannot be read.
    """
    return _Training(clip, train, valid, Path(output), recipe, show_progress).run()


class _Training:
    def __init__(self, clip, train, valid, output, recipe, show_progress):
        self.clip, self.model, self.recipe = clip, clip.model, recipe
        self.train, self.valid = train, valid
        self.output = output
        self.is_distributed = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if self.is_distributed else 0
        self.world_size = dist.get_world_size() if self.is_distributed else 1
        self.show_progress = show_progress and self.rank == 0
        _check(recipe, len(train), self.world_size)
        self.dtype = _dtype(recipe.precision, clip.device)
        self.tower = TextTower(
            self.model, clip.tokenizer, clip.device, self._bar, packed=False
        )
        if recipe.grad_checkpointing:
            self.model.set_grad_checkpointing()
        self.towers = _Towers(self.model, self.tower)
        if self.is_distributed:
            self.towers = torch.nn.parallel.DistributedDataParallel(self.towers)
        self.loss = ClipLoss(
            gather_with_grad=True, rank=self.rank, world_size=self.world_size
        )
        self.optimizer = _optimizer(self.model, recipe)
        self.scaler = torch.amp.GradScaler(
            clip.device.type, enabled=self.dtype == torch.float16
        )
        self.steps = len(train) // recipe.batch_size
        self.examples = _Examples(train, clip, recipe)

    def run(self):
        progress = self._resume()
        for epoch in range(progress.epoch, self.recipe.epochs):
            if epoch - progress.best_epoch >= self.recipe.patience > 0:
                break
            entry = self._epoch(epoch)
            if self.rank == 0:
                entry.update(self._validate())
            progress.epoch = epoch + 1
            progress.log.append(entry)
            if self.rank == 0:
                if entry["mrr"] > progress.best:
                    progress.best, progress.best_epoch = entry["mrr"], epoch + 1
                    self._save_model()
                self._save_checkpoint(progress)
                logging.getLogger().info(
                    ", ".join(
                        (
                            f"{key} {value:.4g}"
                            if isinstance(value, float)
                            else f"{key} {value}"
                        )
                        for key, value in entry.items()
                    )
                )
            if self.is_distributed:
                kept = [progress]
                dist.broadcast_object_list(kept)
                progress = kept[0]
        return progress.log

    def _epoch(self, epoch):
        recipe = self.recipe
        torch.manual_seed(hash((recipe.seed, epoch)))
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
        with self._bar(self.steps, f"epoch {epoch + 1} of {recipe.epochs}") as bar:
            for step, (pictures, tokens) in enumerate(loader):
                rate = self._learning_rate(epoch * self.steps + step)
                losses.append(self._step(pictures, tokens, rate))
                bar.set_postfix(loss=f"{losses[-1]:.3f}")
                bar.update()
            seconds = bar.format_dict["elapsed"]
        return {
            "epoch": epoch + 1,
            "loss": sum(losses) / len(losses),
            "seconds": seconds,
            "learning_rate": rate,
        }

    def _step(self, pictures, tokens, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        device = self.clip.device
        with torch.autocast(
            device.type, self.dtype, enabled=self.dtype != torch.float32
        ):
            pictures = pictures.to(
                device, memory_format=torch.channels_last, non_blocking=True
            )
            picture_e, text_e = self.towers(pictures, tokens.to(device))
        scale, bias = self.model.logit_scale.exp(), getattr(
            self.model, "logit_bias", None
        )
        loss = self.loss(picture_e.float(), text_e.float(), scale, bias)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, _MOST_LOGIT_SCALE)
        return loss.item()

    def _learning_rate(self, step):
        """Linear warm-up, then half a cosine to zero at the last step."""
        recipe = self.recipe
        if step < recipe.warmup_steps:
            return recipe.learning_rate * (step + 1) / recipe.warmup_steps
        rest = self.steps * recipe.epochs - recipe.warmup_steps
        done = (step - recipe.warmup_steps) / max(rest, 1)
        return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def _validate(self):
        pictures, _ = self.clip.encode_pictures(
            self.valid.pictures, workers=self.recipe.workers, progress=False
        )
        # The first caption is what the others are variations of.
        texts = self.clip.encode_texts(
            [captions[0] for captions in self.valid.captions], progress=False
        )
        return retrieval(texts, pictures)

    def _save_model(self):
        kept = getattr(self.clip.tokenizer, "kept_tokens", None)
        save_clip(self.output, self.model, self.clip.config(), kept)

    # ------------------------------------------------------------ checkpoints

    def _resume(self):
        path = self.output / CHECKPOINT
        if not path.is_file():
            return Progress()
        try:
            found = torch.load(path, map_location=self.clip.device, weights_only=True)
            same = found["training"] == self._identity()
        except Exception as error:
            raise UserError(f"{path} cannot be read: {error}") from error
        if not same:
            raise UserError(
                f"{path} is of another training: data, recipe or number of steps "
                "differ. Name another --output, or remove that folder."
            )
        self.model.load_state_dict(found["model"])
        self.optimizer.load_state_dict(found["optimizer"])
        self.scaler.load_state_dict(found["scaler"])
        return Progress(**found["progress"])

    def _save_checkpoint(self, progress):
        with whole_file(self.output / LOG) as path:
            lines = [json.dumps(entry) + "\n" for entry in progress.log]
            path.write_text("".join(lines), "utf-8")
        with whole_file(self.output / CHECKPOINT) as path:
            torch.save(
                {
                    "training": self._identity(),
                    "model": self.model.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "scaler": self.scaler.state_dict(),
                    "progress": asdict(progress),
                },
                path,
            )

    def _identity(self):
        """What must be the same for a checkpoint to be gone on from."""
        recipe = asdict(self.recipe)
        del recipe["workers"], recipe["patience"]
        return {"recipe": recipe, "train": len(self.train), "ids": self.train.ids[:3]}

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
        rank[rows] = (scores >= right).sum(axis=1)
    return {
        "recall@1": float(np.mean(rank <= 1)),
        "recall@10": float(np.mean(rank <= 10)),
        "mrr": float(np.mean(1 / rank)),
    }


class _Towers(torch.nn.Module):
    """Both towers in one forward pass, as DistributedDataParallel needs it."""

    def __init__(self, model, tower):
        super().__init__()
        self.model = model
        # Not a module of this one, which would count its parameters twice.
        self._tower = [tower]

    def forward(self, pictures, tokens):
        tower = self._tower[0]
        picture_e = functional.normalize(self.model.encode_image(pictures), dim=-1)
        if not tower.stops_at_end:
            return picture_e, functional.normalize(
                self.model.encode_text(tokens), dim=-1
            )
        return picture_e, tower.embed_to_end(tokens[:, : tower.ends(tokens).max()])


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
            picture = picture.transpose(0)  # Image.Transpose.FLIP_LEFT_RIGHT
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
    trained = [item for item in model.named_parameters() if item[1].requires_grad]
    plain = [p for name, p in trained if p.ndim < 2]
    decayed = [p for name, p in trained if p.ndim >= 2]
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ],
        lr=recipe.learning_rate,
        betas=(0.9, 0.98),
        eps=1e-6,
    )


def _dtype(precision, device):
    choices = {
        "fp32": torch.float32,
        "bf16": torch.bfloat16,
        "fp16": torch.float16,
    }
    if precision == "auto":
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported()
        else:
            # Without these the processor only pretends to, slowly.
            fast = torch.cpu._is_avx512_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    if precision not in choices:
        raise UserError(
            f"precision: '{precision}' does not exist. Accepted are auto, "
            f"{', '.join(choices)}."
        )
    if precision == "fp16" and device.type != "cuda":
        raise UserError("precision: fp16 needs a cuda device; use bf16, fp32 or auto.")
    return choices[precision]


def _check(recipe, pictures, world_size):
    for name in ("epochs", "batch_size"):
        if getattr(recipe, name) < 1:
            raise UserError(
                f"{name} is {getattr(recipe, name)}; it must be at least 1."
            )
    if not recipe.learning_rate > 0:
        raise UserError(f"learning_rate is {recipe.learning_rate}; it must be above 0.")
    if not 0 < recipe.smallest_crop <= 1:
        raise UserError(
            f"smallest_crop is {recipe.smallest_crop}; accepted are shares above 0, up "
            "to 1 (no cropping)."
        )
    if recipe.batch_size % world_size:
        raise UserError(
            f"batch_size {recipe.batch_size} cannot be shared by {world_size} processes: "
            "name a multiple of their number."
        )
    if pictures < recipe.batch_size:
        raise UserError(
            f"batch_size is {recipe.batch_size}, but there are {pictures:,} pictures to "
            "train on. Name a smaller one, or give more pictures."
        )
