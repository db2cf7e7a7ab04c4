"""Text vectors of CLIP models, loaded by open_clip."""

import importlib.metadata
import json
import logging
import os
from pathlib import Path

from recbole_whisperlite.encoder import digest, long_text, options
from recbole_whisperlite.encoder.base import Encoder, quiet
from recbole_whisperlite.errors import UserError, did_you_mean

_CHECKPOINTS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npz")
_CONFIG_KEYS = ("embed_dim", "vision_cfg", "text_cfg")


class OpenClip(Encoder):
    """CLIP's frozen text tower; vectors of length 1, as its similarity compares them.

    ``clip_model`` is a name that open_clip knows, with ``clip_pretrained`` one of its
    tags or a local checkpoint; or ``hf-hub:org/name``, ``local-dir:folder`` or a folder,
    which bring their own weights; or a file with a model config of open_clip's (json),
    with ``clip_pretrained`` a local checkpoint.
    """

    def __init__(self, config, fit_texts):
        super().__init__(config, fit_texts)
        self._long_text = options.choice(config, "long_text", long_text.CHOICES)
        self._batch_size = options.positive_int(config, "encode_batch_size")
        self._device = options.setting(config, "device") or "cpu"
        self._cache_folder = options.cache_folder(config)
        name = str(options.setting(config, "clip_model"))
        self._name, self._local_model = _find_model(name)
        pretrained = options.setting(config, "clip_pretrained")
        self._weights = _find_weights(pretrained, self._name)

    def fingerprint(self):
        def content(value):
            is_path = isinstance(value, Path)
            return digest.of_path(value, self._cache_folder) if is_path else value

        return {
            "open_clip": _version(),
            "model": content(self._local_model or self._name),
            "weights": content(self._weights),
            "long_text": self._long_text,
        }

    def encode(self, texts):
        # Only here: open_clip and the model take seconds to load.
        from recbole_whisperlite.encoder.text_tower import TextTower

        model, tokenizer = self._load()
        tower = TextTower(model, tokenizer, self._device, self.progress)
        return long_text.encode(
            texts,
            self._long_text,
            tower.context_length,
            tower.count_tokens,
            lambda short: tower.encode(short, self._batch_size),
        )

    def _load(self):
        open_clip = _import()
        if self._local_model and self._local_model.is_file():
            _check_model_config(self._local_model)
            open_clip.add_model_config(self._local_model)
        elif not _brings_weights(self._name):
            self._check_names(open_clip)
        weights = None if self._weights is None else str(self._weights)
        logging.getLogger().info(f"Loading {self._name} {weights or ''} by open_clip")
        try:
            with quiet():
                model = open_clip.create_model(
                    self._name, pretrained=weights, require_pretrained=True
                )
                return model, open_clip.get_tokenizer(self._name)
        except ImportError as error:
            raise UserError(
                f"clip_model '{self._name}' needs the package '{error.name}', which is "
                f"not installed: pip install {error.name}"
            ) from error
        except Exception as error:
            raise UserError(self._failure(error)) from error

    def _check_names(self, open_clip):
        models = open_clip.list_models()
        if self._name not in models:
            raise UserError(
                f"clip_model: open_clip has no model '{self._name}'."
                f"{did_you_mean(self._name, models)} It has {', '.join(models)}; "
                "accepted are also 'hf-hub:org/name', a folder with "
                "open_clip_config.json, and a model config (json)."
            )
        tags = open_clip.list_pretrained_tags_by_model(self._name)
        if not isinstance(self._weights, Path) and self._weights not in tags:
            raise UserError(
                f"clip_pretrained: open_clip has no weights '{self._weights}' for "
                f"{self._name}.{did_you_mean(self._weights, tags)} It has "
                f"{', '.join(tags) or 'none'}; accepted is also the path of a checkpoint."
            )

    def _failure(self, error):
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(self._weights, Path) or self._local_model:
            return (
                f"open_clip could not load clip_model '{self._name}' with the weights "
                f"{self._weights or self._local_model}: {reason}"
            )
        if self._name.startswith("hf-hub:"):
            sought = f"'{self._name}'"
            copy = "download the repository elsewhere and set clip_model: /path/of/its/folder"
        else:
            sought = f"the weights '{self._weights}' of {self._name}"
            copy = (
                "download the checkpoint elsewhere and set clip_pretrained: "
                "/path/of/the/checkpoint"
            )
        return (
            f"open_clip could not fetch {sought}. Without a network: {copy}; or use an "
            f"encoder that needs no download, encoder: tfidf. (open_clip: {reason})"
        )


def _brings_weights(name):
    return name.startswith(("hf-hub:", "local-dir:"))


def _find_model(name):
    """Return the name that open_clip knows or will know, and the local path if any."""
    path = Path(name.removeprefix("local-dir:")).expanduser()
    if name.startswith("local-dir:") or path.is_dir():
        if not (path / "open_clip_config.json").is_file():
            raise UserError(
                f"clip_model: there is no open_clip_config.json in the folder {path}. "
                "It must hold open_clip's model config and, beside it, the weights "
                "(open_clip_model.safetensors)."
            )
        return f"local-dir:{path}", path
    if path.suffix == ".json":
        if not path.is_file():
            raise UserError(f"clip_model: there is no file {path}.")
        return path.stem, path
    return name, None


def _find_weights(pretrained, name):
    """Return a tag (str), a checkpoint (Path), or None where the model brings its own."""
    given = str(pretrained) if pretrained else ""
    path = Path(given).expanduser()
    is_path = bool(given) and (
        os.sep in given or path.suffix in _CHECKPOINTS or path.is_file()
    )
    if _brings_weights(name):
        if is_path:
            raise UserError(
                f"clip_pretrained: '{given}' would not be used, because clip_model "
                f"'{name}' brings its own weights. Give a model name or a model config "
                "(json) as clip_model, or no path as clip_pretrained."
            )
        return None
    if not given:
        raise UserError(
            f"clip_pretrained: without it '{name}' would have random weights. Name one "
            "of open_clip's pretrained tags or the path of a checkpoint."
        )
    if is_path and not path.is_file():
        raise UserError(f"clip_pretrained: there is no file {path}.")
    return path if is_path else given


def _check_model_config(path):
    try:
        found = json.loads(path.read_text("utf-8"))
        missing = [key for key in _CONFIG_KEYS if key not in found]
    except (ValueError, TypeError) as error:
        raise UserError(f"clip_model: {path} is not json: {error}") from error
    if missing:
        raise UserError(
            f"clip_model: {path} is not a model config of open_clip's: "
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
        # torch and torchvision that do not fit raise RuntimeError, not ImportError.
        raise UserError(
            f"open_clip cannot be imported: {error}. "
            "'python -m recbole_whisperlite doctor' says what is wrong."
        ) from error
    return open_clip
