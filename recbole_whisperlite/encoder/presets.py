"""CLIP models under the names that users know."""

from pathlib import Path
from typing import NamedTuple

from recbole_whisperlite.errors import UserError, did_you_mean

#: The one preset that needs no download.
OFFLINE = "whisperlite-mini"


class Preset(NamedTuple):
    """The ``clip_model`` and ``clip_pretrained`` that a preset stands for.

    Attributes:
        clip_model (str): As the setting of that name.
        clip_pretrained (str or None): As the setting of that name; None where the model
            comes with its own weights.
    """

    clip_model: str
    clip_pretrained: str | None = None


PRESETS = {
    # CLIP trained on LAION-2B, from which FashionCLIP 2.0 starts.
    "clip-vit-b-32": Preset("ViT-B-32", "laion2b_s34b_b79k"),
    # FashionCLIP 2.0; its repository has the layout of the transformers library.
    "fashion-clip": Preset("transformers:patrickjohncyh/fashion-clip"),
    "marqo-fashionclip": Preset("hf-hub:Marqo/marqo-fashionCLIP"),
    "marqo-fashionsiglip": Preset("hf-hub:Marqo/marqo-fashionSigLIP"),
    OFFLINE: Preset(f"local-dir:{Path(__file__).parent / 'clip/mini'}"),
}


def check_encoder(encoder: str) -> None:
    """Raise a UserError unless ``encoder`` is a preset or ``open_clip``."""
    accepted = ("open_clip", *PRESETS)
    if encoder not in accepted:
        raise UserError(
            f"encoder: '{encoder}' is not a CLIP model."
            f"{did_you_mean(encoder, accepted)} Accepted: {', '.join(accepted)}; "
            "open_clip takes its model from clip_model and clip_pretrained."
        )
