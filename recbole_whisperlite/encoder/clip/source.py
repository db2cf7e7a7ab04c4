"""Finds, checks, fingerprints and loads CLIP models."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_whisperlite.encoder import digest, options
from recbole_whisperlite.encoder.base import quiet
from recbole_whisperlite.encoder.clip import mini_clip, transformers_clip
from recbole_whisperlite.encoder.presets import OFFLINE, PRESETS, check_encoder
from recbole_whisperlite.errors import UserError, did_you_mean
from recbole_whisperlite.foreign_code import refuse_code

if TYPE_CHECKING:
    import torch
    from recbole.config import Config

_CHECKPOINTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npz")
_CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")
HUB, FOLDER, TRANSFORMERS = "hf-hub:", "local-dir:", "transformers:"


class ClipSource:
    """A CLIP model that open_clip can run, and where its weights are.

    The constructor only checks names and paths; :meth:`load` reads or downloads.

    ``clip_model`` is one of

    - a name that open_clip knows, with ``clip_pretrained`` one of its tags or a local
      checkpoint;
    - ``hf-hub:org/name``, which comes with its weights;
    - a folder with ``open_clip_config.json`` (``local-dir:folder``) or in the layout of
      transformers' CLIPModel (``transformers:folder``, ``transformers:org/name``), which
      comes with its weights unless ``clip_pretrained`` is the path of a checkpoint;
    - an open_clip model config (JSON file), with ``clip_pretrained`` a local checkpoint.

    Args:
        encoder (str): ``open_clip`` or a preset. A preset determines the model:
            ``clip_model`` is ignored, and so is ``clip_pretrained`` unless it is the
            path of a local copy, a folder or a checkpoint next to its config.
        clip_model (str or None): The setting.
        clip_pretrained (str or None): The setting.

    Attributes:
        encoder (str): As given.
        name (str): The preset, or else the model's name.

    Raises:
        UserError: If a name or path is wrong.
    """

    def __init__(
        self, encoder: str, clip_model: str | None, clip_pretrained: str | None
    ):
        check_encoder(encoder)
        self.encoder = encoder
        if encoder in PRESETS:
            clip_model, clip_pretrained = _of_preset(encoder, clip_pretrained)
        self._model, self._local_model = _find_model(str(clip_model), encoder)
        self._weights = _find_weights(clip_pretrained, self._model)
        self.name = encoder if encoder in PRESETS else self._model

    @classmethod
    def of(cls, config: Config | dict | options.OneEncoder) -> ClipSource:
        """Return the model that the settings name."""
        keys = "encoder", "clip_model", "clip_pretrained"
        return cls(*(options.setting(config, key) for key in keys))

    def fingerprint(self, cache_folder: Path) -> dict:
        """Return everything that determines the vectors, as a JSON-serialisable dict.

        Local files count by their content, whatever their names; hub repositories and
        open_clip's tags count by name.

        Args:
            cache_folder (Path): Where the hashes of known files are kept.
        """

        def content(value):
            return (
                digest.of_path(value, cache_folder)
                if isinstance(value, Path)
                else value
            )

        return {
            "open_clip": _version(),
            "model": content(self._local_model or self._model),
            "weights": content(self._weights),
        }

    def load(self) -> tuple[torch.nn.Module, Callable, Callable]:
        """Load the model.

        Returns:
            tuple: The model (``torch.nn.Module`` of open_clip's, float32, in evaluation
            mode, on the CPU), its tokenizer (texts -> int64 tensor), and its
            preprocessing (RGB picture -> float32 tensor ``[3, side, side]``).

        Raises:
            UserError: If it cannot be loaded; the message says what was looked for and
                what to do.
        """
        open_clip = _import()
        from open_clip.transform import PreprocessCfg, image_transform_v2

        if self._local_model and self._local_model.is_file():
            _check_model_config(self._local_model)
            open_clip.add_model_config(self._local_model)
        elif not _brings_weights(self._model):
            self._check_names(open_clip)
        quick_gelu = self._is_quick_gelu(open_clip)
        logging.getLogger().info(f"Loading {self._called()} with open_clip")
        try:
            with quiet():
                model, tokenizer = self._load_by(open_clip, quick_gelu)
        except UserError:
            raise
        except ImportError as error:
            raise UserError(
                f"{self._called()} needs the package '{error.name}', which is not "
                f"installed: pip install {error.name}"
            ) from error
        except Exception as error:
            raise UserError(self._failure(error)) from error
        preprocess = image_transform_v2(
            PreprocessCfg(**model.visual.preprocess_cfg), is_train=False
        )
        return model.eval(), tokenizer, preprocess

    def model_config(self) -> dict:
        """Return open_clip's model config (``model_cfg``); call :meth:`load` first."""
        import open_clip

        if self._model.startswith(TRANSFORMERS):
            repository = self._model.removeprefix(TRANSFORMERS)
            folder = self._local_model or transformers_clip.fetch(repository)
            path = Path(folder) / "config.json"
            return transformers_clip.model_config(json.loads(path.read_text("utf-8")))
        return open_clip.get_model_config(self._model)

    def _load_by(self, open_clip, quick_gelu):
        weights = None if self._weights is None else str(self._weights)
        if self._model.startswith(TRANSFORMERS):
            repository = self._model.removeprefix(TRANSFORMERS)
            folder = self._local_model or transformers_clip.fetch(repository)
            model = transformers_clip.load(folder, self._weights)
            length = model.context_length
            return model, open_clip.SimpleTokenizer(context_length=length)
        if not self._model.startswith(FOLDER):
            model = open_clip.create_model(
                self._model,
                pretrained=weights,
                require_pretrained=True,
                force_quick_gelu=quick_gelu,
            )
            return model, self._tokenizer(open_clip)
        model = open_clip.create_model(
            self._model,
            load_weights=weights is None,
            require_pretrained=weights is None,
            pretrained_text=False,
        )
        if weights:
            # For a folder, open_clip itself only reads the weights inside it.
            open_clip.load_checkpoint(model, weights)
        tokenizer = self._tokenizer(open_clip)
        return model, mini_clip.kept_tokenizer(self._local_model, tokenizer)

    def _tokenizer(self, open_clip):
        # hands the arguments in the config to transformers
        refuse_code(open_clip.get_model_config(self._model), self._called())
        return open_clip.get_tokenizer(self._model)

    def _is_quick_gelu(self, open_clip):
        """Whether weights that open_clip knows by a tag were trained with QuickGELU, whatever
        the model's name says; of a file nobody knows, which is told."""
        if _brings_weights(self._model):
            return False
        if not isinstance(self._weights, Path):
            about = open_clip.get_pretrained_cfg(self._model, self._weights) or {}
            return bool(about.get("quick_gelu"))
        if f"{self._model}-quickgelu" in open_clip.list_models():
            logging.getLogger().warning(
                f"clip_model '{self._model}' computes with GELU. OpenAI's CLIP, and what was "
                "trained on from it, such as FashionCLIP, needs QuickGELU: if "
                f"{self._weights} is of that family, set clip_model to "
                f"{self._model}-quickgelu."
            )
        return False

    def _check_names(self, open_clip):
        models = open_clip.list_models()
        if self._model not in models:
            raise UserError(
                f"clip_model: open_clip has no model '{self._model}'."
                f"{did_you_mean(self._model, models)} It has {', '.join(models)}; also "
                "accepted: 'hf-hub:org/name', 'transformers:org/name', a folder with "
                "open_clip_config.json or in transformers' layout, and a model config "
                "(JSON)."
            )
        tags = open_clip.list_pretrained_tags_by_model(self._model)
        if not isinstance(self._weights, Path) and self._weights not in tags:
            raise UserError(
                f"clip_pretrained: open_clip has no weights '{self._weights}' for "
                f"{self._model}.{did_you_mean(self._weights, tags)} It has "
                f"{', '.join(tags) or 'none'}; also accepted: the path of a checkpoint."
            )

    def _called(self):
        if self.encoder in PRESETS:
            return f"encoder: {self.encoder} ({self._model})"
        return f"clip_model '{self._model}'"

    def _failure(self, error):
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(self._weights, Path) or self._local_model:
            return (
                f"open_clip could not load {self._called()} with the weights "
                f"{self._weights or self._local_model}: {reason.rstrip('.')}. The "
                "weights must be of this very model, in a complete file (.safetensors, "
                ".bin, .pt)."
            )
        scheme, _, repository = self._model.rpartition(":")
        if scheme:
            sought = f"the repository {repository} on the Hugging Face Hub"
            copy = "download the repository elsewhere"
            key, path = "clip_model", "/path/to/its/folder"
        else:
            sought = f"open_clip's weights '{self._weights}' for {self._model}"
            copy = "download the checkpoint elsewhere"
            key, path = "clip_pretrained", "/path/to/the/checkpoint"
        if self.encoder in PRESETS:
            key = "clip_pretrained"
        return (
            f"{self._called()}: {sought} could not be downloaded. Without a network, "
            f"{copy} and set {key}: {path}; or use encoder: {OFFLINE}, which comes with "
            f"this package, or, for texts only, encoder: tfidf. (Reason: {reason})"
        )


def _brings_weights(name):
    return name.startswith((HUB, FOLDER, TRANSFORMERS))


def _of_preset(encoder, clip_pretrained):
    """Return ``clip_model`` and ``clip_pretrained`` of a preset or its local copy."""
    preset = PRESETS[encoder]
    copy = _path(clip_pretrained)
    if copy is None:
        # A tag, which is that setting's default: it does not concern a preset.
        return preset
    if not copy.exists():
        raise UserError(
            f"clip_pretrained: there is no file or folder {copy}. With encoder: "
            f"{encoder} it can be the path of a local copy."
        )
    if copy.is_dir():
        return str(copy), None
    if not _brings_weights(preset.clip_model):
        return preset.clip_model, str(copy)
    if not _scheme_of(copy.parent):
        raise UserError(
            f"clip_pretrained: next to {copy} there is neither open_clip_config.json nor "
            f"config.json. One of the two must describe the model of encoder: {encoder}. "
            "Put it there, or give the folder of the whole repository."
        )
    return str(copy.parent), str(copy)


def _scheme_of(folder):
    """Return the prefix for a folder's layout, "" if it holds no model."""
    if (folder / "open_clip_config.json").is_file():
        return FOLDER
    return TRANSFORMERS if (folder / "config.json").is_file() else ""


def _find_model(name, encoder):
    """Return the name under which open_clip loads the model, and any local path."""
    where = f"encoder: {encoder}" if encoder in PRESETS else "clip_model"
    path = Path(name.removeprefix(FOLDER).removeprefix(TRANSFORMERS)).expanduser()
    if path.is_dir() or name.startswith(FOLDER):
        scheme = _scheme_of(path)
        if not scheme:
            raise UserError(
                f"{where}: there is no open_clip_config.json in the folder {path}, "
                "nor a config.json of transformers' CLIPModel. The folder must contain "
                "the model config and the weights (open_clip_model.safetensors or "
                "model.safetensors)."
            )
        return f"{scheme}{path}", path
    if path.suffix == ".json":
        if not path.is_file():
            raise UserError(f"{where}: there is no file {path}.")
        return path.stem, path
    scheme = next((s for s in (HUB, TRANSFORMERS) if name.startswith(s)), "")
    repository = name.removeprefix(scheme)
    # Hub names are org/name; open_clip's own names have no slash.
    is_repository = repository.count("/") == 1 and repository[0] not in "./~"
    if "/" in repository and not (scheme and is_repository):
        hub = f" For a repository on the hub, write '{HUB}{name}'."
        raise UserError(
            f"{where}: there is no folder {repository}."
            f"{hub if is_repository else ' Repositories on the hub are named org/name.'}"
        )
    return name, None


def _path(given):
    """Return what was given as a Path if it looks like one, else None."""
    path = Path(given or "").expanduser()
    looks = given and (
        os.sep in str(given) or path.suffix in _CHECKPOINTS or path.exists()
    )
    return path if looks else None


def _find_weights(pretrained, model):
    """Return a tag (str), a checkpoint (Path), or None for a model with weights."""
    path = _path(pretrained)
    if path is not None:
        if not path.is_file():
            raise UserError(f"clip_pretrained: there is no file {path}.")
        if model.startswith(HUB):
            raise UserError(
                f"clip_pretrained: '{pretrained}' would not be used, because clip_model "
                f"'{model}' comes with its own weights. Set clip_model to a model name, "
                "a folder or a model config (JSON), or do not set clip_pretrained to a "
                "path."
            )
        return path
    if _brings_weights(model):
        return None
    if not pretrained:
        raise UserError(
            f"clip_pretrained: without it '{model}' would have random weights. Give one "
            "of open_clip's pretrained tags or the path of a checkpoint."
        )
    return str(pretrained)


def _check_model_config(path):
    try:
        found = json.loads(path.read_text("utf-8"))
        missing = [key for key in _CONFIG_KEYS if key not in found]
    except (ValueError, TypeError) as error:
        raise UserError(f"clip_model: {path} is not valid JSON: {error}") from error
    if missing:
        raise UserError(
            f"clip_model: {path} is not an open_clip model config: "
            f"{', '.join(missing)} is missing."
        )


def _version():
    try:
        return importlib.metadata.version("open_clip_torch")
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            "encoder: open_clip is not installed: pip install open_clip_torch"
        ) from None


def _import():
    try:
        import open_clip
    except Exception as error:
        # Mismatched torch and torchvision raise RuntimeError, not ImportError.
        raise UserError(
            f"open_clip cannot be imported: {error}. "
            "'recbole-whisperlite doctor' says what is wrong."
        ) from error
    return open_clip
