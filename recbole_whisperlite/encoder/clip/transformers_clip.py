"""CLIP models in the layout of the transformers library, run by open_clip.

FashionCLIP and OpenAI's own CLIP are published as transformers' ``CLIPModel``. The
networks are the same as open_clip's; the weights have other names, those of queries,
keys and values are separate, and the projections are transposed. transformers itself is
not needed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    import open_clip
    import torch

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# Where config.json omits a key: the defaults of CLIPTextConfig and CLIPVisionConfig.
_TEXT = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_PARTS = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.": "ln_final.",
    "text_model.encoder.layers.": "transformer.resblocks.",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.": "visual.conv1.",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    # sic
    "vision_model.pre_layrnorm.": "visual.ln_pre.",
    "vision_model.post_layernorm.": "visual.ln_post.",
    "vision_model.encoder.layers.": "visual.transformer.resblocks.",
    ".self_attn.out_proj.": ".attn.out_proj.",
    ".layer_norm1.": ".ln_1.",
    ".layer_norm2.": ".ln_2.",
    ".mlp.fc1.": ".mlp.c_fc.",
    ".mlp.fc2.": ".mlp.c_proj.",
}
_PROJECTIONS = {
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
}
# transformers names resampling filters by Pillow's numbers.
_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def fetch(repository: str) -> Path:
    """Return the folder of a Hugging Face Hub repository, downloaded if necessary.

    Args:
        repository (str): ``org/name``.

    Raises:
        Exception: Whatever huggingface_hub raises, for example without a network.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    config = hf_hub_download(repository, "config.json")
    hf_hub_download(repository, "preprocessor_config.json")
    try:
        hf_hub_download(repository, _WEIGHTS[0])
    except EntryNotFoundError:
        hf_hub_download(repository, _WEIGHTS[1])
    return Path(config).parent


def load(folder: str | Path, weights: str | Path | None = None) -> open_clip.CLIP:
    """Load a model from a folder with ``config.json`` and weights.

    Args:
        folder (str or Path): May also hold ``preprocessor_config.json``; without it
            pictures are preprocessed as for CLIP.
        weights (str or Path, optional): A checkpoint in that layout; by default the one
            in the folder, ``model.safetensors`` before ``pytorch_model.bin``.

    Returns:
        open_clip.CLIP: float32, with the preprocessing that it was trained with.

    Raises:
        UserError: If the folder holds another kind of model or no weights.
    """
    import open_clip

    folder = Path(folder)
    model_cfg = model_config(_read_json(folder / "config.json"), folder)
    state = convert(_read_weights(weights or _find_weights(folder)))
    model = open_clip.CLIP(**model_cfg)
    model.load_state_dict(state, strict=True)
    preprocess = folder / "preprocessor_config.json"
    found = _read_json(preprocess) if preprocess.is_file() else {}
    size = {"size": model.visual.image_size}
    open_clip.set_model_preprocess_cfg(model, {**preprocess_config(found), **size})
    return model


def model_config(config: dict, where: str | Path = "config.json") -> dict:
    """Return open_clip's model config for a ``config.json`` of ``CLIPModel``.

    Args:
        config (dict): The content of the file.
        where (str or Path): What errors call the file.

    Returns:
        dict: ``embed_dim``, ``vision_cfg``, ``text_cfg``, ``quick_gelu``.

    Raises:
        UserError: If it is another kind of model.
    """
    if config.get("model_type", "clip") != "clip":
        raise UserError(
            f"{where}: config.json describes a '{config['model_type']}' model; supported "
            "are open_clip's layout (open_clip_config.json) and that of transformers' "
            "CLIPModel (model_type clip)."
        )
    text = _tower(config, "text_config", _TEXT)
    vision = _tower(config, "vision_config", _VISION)
    activation = {text["hidden_act"], vision["hidden_act"]}
    if len(activation) > 1 or not activation <= {"quick_gelu", "gelu"}:
        raise UserError(
            f"{where}: config.json has the activation {' and '.join(sorted(activation))};"
            " open_clip supports quick_gelu or gelu, the same in both towers."
        )
    if text["vocab_size"] != _TEXT["vocab_size"]:
        raise UserError(
            f"{where}: config.json has a vocabulary of {text['vocab_size']} tokens; "
            f"CLIP's tokenizer has {_TEXT['vocab_size']}."
        )
    return {
        "embed_dim": config.get("projection_dim", 512),
        "quick_gelu": activation == {"quick_gelu"},
        "vision_cfg": {
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "layers": vision["num_hidden_layers"],
            "width": vision["hidden_size"],
            "head_width": vision["hidden_size"] // vision["num_attention_heads"],
            "mlp_ratio": vision["intermediate_size"] / vision["hidden_size"],
            "norm_kwargs": {"eps": vision["layer_norm_eps"]},
        },
        "text_cfg": {
            "context_length": text["max_position_embeddings"],
            "vocab_size": text["vocab_size"],
            "width": text["hidden_size"],
            "heads": text["num_attention_heads"],
            "layers": text["num_hidden_layers"],
            "mlp_ratio": text["intermediate_size"] / text["hidden_size"],
            "norm_kwargs": {"eps": text["layer_norm_eps"]},
        },
    }


def preprocess_config(found: dict) -> dict:
    """Return open_clip's preprocessing for a ``preprocessor_config.json``.

    Args:
        found (dict): The content of the file; missing keys get CLIP's values.

    Returns:
        dict: ``mean``, ``std``, ``interpolation``, ``resize_mode``.
    """
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    size = found.get("size")
    # Without shortest_edge, height and width are fixed and nothing is cropped.
    squash = isinstance(size, dict) and "shortest_edge" not in size
    return {
        "mean": tuple(found.get("image_mean", OPENAI_DATASET_MEAN)),
        "std": tuple(found.get("image_std", OPENAI_DATASET_STD)),
        "interpolation": _FILTERS.get(found.get("resample", 3), "bicubic"),
        "resize_mode": "squash" if squash else "shortest",
    }


def convert(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Convert the weights of a transformers ``CLIPModel`` to those of open_clip's ``CLIP``.

    Args:
        state (dict): Name -> tensor.

    Returns:
        dict: Name -> float32 tensor.
    """
    import torch

    converted = {}
    for name, tensor in state.items():
        tensor = tensor.float()
        if name.endswith(".position_ids"):
            continue  # 0, 1, 2, …: older releases stored them
        if name in _PROJECTIONS:
            converted[_PROJECTIONS[name]] = tensor.t().contiguous()
        elif name.endswith((".q_proj.weight", ".q_proj.bias")):
            parts = [state[name.replace(".q_proj.", f".{x}_proj.")] for x in "qkv"]
            name = name.replace(".self_attn.q_proj.", ".attn.in_proj_")
            converted[_renamed(name)] = torch.cat(parts).float()
        elif ".k_proj." not in name and ".v_proj." not in name:
            converted[_renamed(name)] = tensor
    return converted


def _renamed(name):
    for theirs, ours in _PARTS.items():
        name = name.replace(theirs, ours)
    return name


def _tower(config, name, defaults):
    """Return the settings of a tower; ``…_config_dict``, where set, takes precedence."""
    newer = config.get(f"{name}_dict")
    return {
        **defaults,
        **(config.get(name) or {}),
        **({**defaults, **newer} if newer else {}),
    }


def _find_weights(folder):
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise UserError(
        f"{folder}: there are no weights next to config.json: expected "
        f"{' or '.join(_WEIGHTS)}."
    )


def _read_weights(path):
    import torch
    from safetensors.torch import load_file

    if str(path).endswith(".safetensors"):
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_json(path):
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
