"""A CLIP model that encodes texts and pictures into one space."""

import logging
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from recbole_whisperlite.encoder import options
from recbole_whisperlite.encoder.clip.source import ClipSource
from recbole_whisperlite.encoder.pictures import PictureError, read_picture, some
from recbole_whisperlite.encoder.presets import OFFLINE
from recbole_whisperlite.encoder.text_tower import TextTower
from recbole_whisperlite.errors import UserError


def load_clip(
    encoder: str = OFFLINE,
    clip_model: str | None = None,
    clip_pretrained: str | None = None,
    device: str | torch.device = "cpu",
) -> "Clip":
    """Load a CLIP model.

    Args:
        encoder (str): A preset of :mod:`presets`, or ``open_clip`` for the model that
            the other two arguments name.
        clip_model (str, optional): As the setting: name, ``hf-hub:org/name``, folder, …
        clip_pretrained (str, optional): As the setting: tag or path; with a preset the
            path to a local copy.
        device (str or torch.device): Where it runs.

    Returns:
        Clip: The model, ready to encode.

    Raises:
        UserError: If a name or path is wrong, or the model cannot be loaded.
    """
    return Clip(ClipSource(encoder, clip_model, clip_pretrained), device)


class Clip:
    """A loaded CLIP model.

    Args:
        source (ClipSource): Which model, and where its weights are.
        device (str or torch.device): Where it runs.

    Attributes:
        model (torch.nn.Module): open_clip's, float32, in evaluation mode. It may be
            trained: the methods here use its current weights at every call, and restore
            its mode.
        tokenizer (callable): Texts -> int64 tensor ``[n, context_length]``.
        preprocess (callable): RGB picture -> float32 tensor ``[3, side, side]``.
        name (str): The preset or the model's name.
        device (torch.device): Where it runs.
        dim (int): The length of a vector.
        image_size (int): Side of the square picture that the model sees, in pixels.
        context_length (int): The maximum number of tokens, start and end included.
    """

    def __init__(self, source: ClipSource, device: str | torch.device = "cpu"):
        self._source = source
        self.name = source.name
        self.device = torch.device(device)
        self.model, self.tokenizer, self.preprocess = source.load()
        self.model = self.model.to(self.device)
        size = self.model.visual.image_size
        self.image_size = size[0] if isinstance(size, (tuple, list)) else size
        self.context_length = self.tokenizer.context_length
        with torch.inference_mode():
            text = self.tokenizer([""]).to(self.device)
            self.dim = self.model.encode_text(text).shape[1]

    @property
    def logit_scale(self) -> float:
        """float: The factor of the cosines, the inverse of the temperature."""
        return float(self.model.logit_scale.detach().exp())

    @property
    def logit_bias(self) -> float:
        """float: The bias added to scaled cosines (SigLIP); 0 for other models."""
        bias = getattr(self.model, "logit_bias", None)
        return 0.0 if bias is None else float(bias.detach())

    def fingerprint(self, cache_folder: Path | None = None) -> dict:
        """Return everything that determines the vectors, as a JSON-serialisable dict.

        Local files count by their content, never by their names.

        Args:
            cache_folder (Path, optional): Where hashes of known files are kept, by
                default the folder of cached vectors.
        """
        return self._source.fingerprint(cache_folder or options.cache_folder({}))

    def config(self) -> dict:
        """Return ``model_cfg`` and ``preprocess_cfg`` as open_clip writes them to disk."""
        return {
            "model_cfg": self._source.model_config(),
            "preprocess_cfg": self.model.visual.preprocess_cfg,
        }

    def encode_texts(
        self, texts: list[str], batch_size: int = 256, progress: bool = True
    ) -> np.ndarray:
        """Return the vectors of texts, each cut at :attr:`context_length` tokens.

        Args:
            texts (list of str): The texts.
            batch_size (int): The maximum number of texts at once.
            progress (bool): Whether a progress bar appears after one second.

        Returns:
            numpy.ndarray: float32 ``[len(texts), dim]``, rows of length 1.
        """
        if not len(texts):
            return np.zeros((0, self.dim), dtype=np.float32)

        def bar(total, description):
            return _bar(total, description, "text", progress)

        training = self.model.training
        # Packed layers would be faster on some processors, but could not be trained.
        tower = TextTower(self.model, self.tokenizer, self.device, bar, packed=False)
        try:
            return tower.encode(list(texts), batch_size)
        finally:
            self.model.train(training)

    def encode_pictures(
        self,
        pictures: list[str | Path | Image.Image],
        batch_size: int = 64,
        workers: int = 0,
        progress: bool = True,
        missing: str = "error",
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors of pictures.

        Args:
            pictures (list): Paths, ``archive.zip::member``, or PIL images.
            batch_size (int): Pictures encoded at once.
            workers (int): Processes that read and decode; 0: the calling process.
            progress (bool): Whether a progress bar appears after one second.
            missing (str): How to treat pictures that are missing or broken: ``error``,
                or ``skip`` them, with one warning that names them.

        Returns:
            tuple: float32 ``[len(pictures), dim]``, rows of length 1, or zero where a
            picture was skipped; and bool ``[len(pictures)]``, False where it was.

        Raises:
            PictureError: With ``missing="error"``, at the first that cannot be read.
            UserError: If ``missing`` is neither of the two.
        """
        if missing not in ("error", "skip"):
            raise UserError(f"missing: '{missing}' is neither 'error' nor 'skip'.")
        vectors, problems = self.try_pictures(
            pictures, batch_size, workers, progress, fail=missing == "error"
        )
        if problems:
            logging.getLogger().warning(
                f"{len(problems)} of {len(pictures)} pictures are skipped: "
                f"{some(list(problems.values()))}"
            )
        present = np.ones(len(pictures), dtype=bool)
        present[list(problems)] = False
        return vectors, present

    def try_pictures(
        self,
        pictures: list[str | Path | Image.Image],
        batch_size: int,
        workers: int,
        progress: bool,
        fail: bool,
    ) -> tuple[np.ndarray, dict[int, str]]:
        """Return the vectors of pictures, and why some have none.

        Args:
            pictures, batch_size, workers, progress: As in :meth:`encode_pictures`.
            fail (bool): Whether to raise at the first picture that cannot be read.

        Returns:
            tuple: float32 ``[len(pictures), dim]``, and ``{index: reason}`` of the
            pictures that cannot be read, whose rows are zero.

        Raises:
            PictureError: If ``fail`` is set and a picture cannot be read.
        """
        vectors = np.zeros((len(pictures), self.dim), dtype=np.float32)
        problems = {}
        loader = DataLoader(
            _Prepared(pictures, self.preprocess, self.image_size),
            batch_size=batch_size,
            num_workers=workers if len(pictures) > batch_size else 0,
        )
        training = self.model.training
        self.model.eval()
        try:
            with _bar(len(pictures), "encode pictures", "picture", progress) as bar:
                for rows, tensors, reasons in loader:
                    fine = torch.tensor([not reason for reason in reasons])
                    for row, reason in zip(rows.tolist(), reasons):
                        if reason and fail:
                            raise PictureError(reason)
                        if reason:
                            problems[row] = reason
                    if fine.any():
                        vectors[rows[fine]] = self._encode(tensors[fine])
                    bar.update(len(rows))
        finally:
            self.model.train(training)
        return vectors, problems

    @torch.inference_mode()
    def _encode(self, tensors):
        tensors = tensors.to(self.device)
        return self.model.encode_image(tensors, normalize=True).float().cpu().numpy()


class _Prepared(Dataset):
    """Pictures as the model sees them, read and decoded in worker processes or here.

    An item is ``(row, tensor, "")`` or, for an unreadable picture, ``(row, zeros,
    reason)``: an exception from a worker would come with its traceback as text.
    """

    def __init__(self, pictures, preprocess, image_size):
        self.pictures = pictures
        self.preprocess = preprocess
        self.image_size = image_size

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        picture = self.pictures[row]
        named = isinstance(picture, (str, Path))
        try:
            image = read_picture(picture, None if named else f"picture {row}")
            return row, self.preprocess(image), ""
        except PictureError as error:
            return row, torch.zeros(3, self.image_size, self.image_size), str(error)


def _bar(total, description, unit, progress):
    hidden = None if progress else True  # None: shown on a terminal only
    return tqdm(total=total, desc=description, unit=unit, delay=1, disable=hidden)
