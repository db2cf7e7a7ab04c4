"""Show where in a picture a phrase is, as a heat map over the photo and as an array.

bands: everything outside a band is greyed out, for many bands; the phrase is where that
raises the similarity (FashionCLIP's method). patches: the similarity of each position by
itself. --benchmark measures both on pictures in which the places of the garments are
known: drawn ones, or the photos of --data pasted on canvases.
"""

from __future__ import annotations

import itertools
import logging
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from recbole_whisperlite.clip import arguments, heatmap, output, pointing
from recbole_whisperlite.clip.drawn_scenes import drawn_scenes
from recbole_whisperlite.clip.photo_scenes import GROUNDS, photo_scenes
from recbole_whisperlite.clip.plain_ground import border_colour, on_white, plain_ground
from recbole_whisperlite.encoder.pictures import (
    IN_ARCHIVE,
    PictureError,
    read_picture,
    some,
)
from recbole_whisperlite.errors import UserError

if TYPE_CHECKING:
    from recbole_whisperlite.encoder.clip import Clip

METHODS = ("patches", "bands")  # the first is the default

#: Widths of bands as fractions of the picture's side. Neighbours overlap by half: 15, 7
#: and 3 bands, horizontal and vertical, are 50 pictures to encode, plus the whole one.
WIDTHS = (1 / 8, 1 / 4, 1 / 2)
_CLIPPED_TIMES = 3
#: The factors by which ``patches`` enlarges the picture for a convolutional network: one
#: finds large things and one small things, and the mean of both maps is taken.
_ENLARGED = (3, 5)


def ground(
    clip: Clip,
    picture: str | Path | Image.Image,
    phrase: str,
    method: str = METHODS[0],
    batch_size: int = 64,
) -> np.ndarray:
    """Return where in a picture a phrase is.

    The plain ground around the products is painted white first, and no place in it is
    where a phrase is (:mod:`plain_ground`).

    Args:
        clip (Clip): The encoder.
        picture (str, Path or PIL.Image.Image): The picture, of any aspect ratio; it is
            not cropped.
        phrase (str): Such as ``long sleeve``.
        method (str): One of :data:`METHODS`.
        batch_size (int): Pictures encoded at once, for ``bands``.

    Returns:
        numpy.ndarray: float32 ``[height, width]`` of the picture, from 0 to 1, or all 0
        if no position is better than another.

    Raises:
        UserError: If the phrase is empty, the picture cannot be read, the method does
            not exist, or the model does not support ``patches``.
    """
    arguments.check_texts([phrase], "phrase")
    if method not in METHODS:
        raise UserError(
            f"method: '{method}' is not accepted. Accepted: {', '.join(METHODS)}."
        )
    picture = on_white(read_picture(picture))
    phrase = torch.from_numpy(clip.encode_texts([phrase], progress=False)[0])
    padded, box = _pad(picture)
    pixels = clip.preprocess(padded)
    if method == "bands":
        found = [_bands(clip, pixels, phrase, batch_size)]
    else:
        found = _patches(clip, padded, pixels, phrase)
    found = np.mean([_resize(part, padded.size, box) for part in found], axis=0)
    found[plain_ground(picture)] = found.min()
    return _scale(_clip(found))


def _resize(found, size, box):
    """Return a map in the size of the padded picture, cut to the picture's box."""
    found = Image.fromarray(found.astype(np.float32))
    return np.asarray(found.resize(size, Image.Resampling.BICUBIC).crop(box))


def _pad(picture):
    """Pad a picture to a square in the colour of its border; return it and its box.

    A model's own preprocessing may crop a picture that is not square, and with it the
    sleeves.
    """
    side = max(picture.size)
    left, top = ((side - length) // 2 for length in picture.size)
    padded = Image.new("RGB", (side, side), border_colour(picture))
    padded.paste(picture, (left, top))
    return padded, (left, top, left + picture.width, top + picture.height)


# ---------------------------------------------------------------- bands


@torch.inference_mode()
def _bands(clip, pixels, phrase, batch_size):
    """The gain in similarity over the whole picture, averaged over each pixel's bands.

    Pixels outside a band are set to zero, the mean colour of the training pictures.
    """
    side = pixels.shape[-1]
    masks = _band_masks(side)
    similarity = [_similarity(clip, pixels[None], phrase)]
    for masks_ in masks.split(batch_size):
        similarity.append(_similarity(clip, masks_[:, None, None, :] * pixels, phrase))
        similarity.append(_similarity(clip, masks_[:, None, :, None] * pixels, phrase))
    whole, *parts = similarity
    across = torch.cat(parts[0::2]) - whole
    down = torch.cat(parts[1::2]) - whole
    total = (across @ masks)[None, :] + (down @ masks)[:, None]
    covering = masks.sum(dim=0)
    return (total / (covering[None, :] + covering[:, None])).numpy()


def _band_masks(side):
    """Return 1 inside a band and 0 outside, float32 ``[n_bands, side]``."""
    masks = []
    for share in WIDTHS:
        width = max(1, round(share * side))
        for start in np.linspace(0, side - width, round(2 / share) - 1):
            mask = torch.zeros(side)
            mask[round(start) : round(start) + width] = 1
            masks.append(mask)
    return torch.stack(masks)


def _similarity(clip, pixels, phrase):
    """Cosines of pictures ``[n, 3, side, side]`` with the phrase, float32 ``[n]``."""
    vectors = clip.model.encode_image(pixels.to(clip.device), normalize=True)
    return (vectors.float() @ phrase.to(clip.device)).cpu()


# ---------------------------------------------------------------- patches


def _patches(clip, padded, pixels, phrase):
    """The similarity of each position of the picture by itself: a list of maps."""
    visual = clip.model.visual
    trunk = getattr(visual, "trunk", None)
    if hasattr(trunk, "global_pool") and hasattr(trunk, "layer4"):
        return [_positions(clip, padded, phrase, times) for times in _ENLARGED]
    return [_alone(clip, pixels, phrase)]


@torch.inference_mode()
def _positions(clip, padded, phrase, times):
    """The similarity of each position of a ResNet's last feature map.

    Such a network averages its last feature map and projects the mean. Projecting each
    position instead shows what it contributes to the mean (class activation map: Zhou
    et al. 2016). A convolutional network takes pictures of any size: the picture is
    enlarged so many ``times`` for a finer map.
    """
    visual = clip.model.visual
    config = {**visual.preprocess_cfg, "size": clip.image_size * times}
    pixels = image_transform_v2(PreprocessCfg(**config), is_train=False)(padded)
    found = visual.trunk.forward_features(pixels[None].to(clip.device))
    vectors = visual.head(found[0].movedim(0, -1))
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    return (vectors @ phrase.to(clip.device)).cpu().numpy()


@torch.inference_mode()
def _alone(clip, pixels, phrase):
    """The similarity of each patch's value in the last block's attention.

    The whole picture passes through all blocks but the last. Each patch enters the last
    block alone, so that attention returns its own value, which alone is passed on to
    pooling and projection (MaskCLIP: Zhou, Loy & Dai 2022, for any pooling).
    """
    block, grid = _last_block(clip)
    values = []

    def part(module, inputs):
        # Class and other extra tokens precede the patches. Each patch is entered twice,
        # for poolings that skip the first token.
        patches = inputs[0][0, -grid[0] * grid[1] :]
        return (torch.stack([patches, patches], dim=1), *inputs[1:])

    def keep(module, inputs, value):
        values.append(value[0] if isinstance(value, tuple) else value)

    hooks = [
        block.register_forward_pre_hook(part),
        block.attn.register_forward_hook(keep),
        block.register_forward_hook(lambda module, inputs, result: values[0]),
    ]
    try:
        found = _similarity(clip, pixels[None], phrase).reshape(grid).numpy()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _last_block(clip):
    """Return the last block of a vision transformer and the grid of its patches."""
    visual = clip.model.visual
    if hasattr(visual, "transformer") and hasattr(visual, "grid_size"):
        return visual.transformer.resblocks[-1], tuple(visual.grid_size)
    trunk = getattr(visual, "trunk", None)  # timm models, such as SigLIP's
    if hasattr(trunk, "blocks") and hasattr(trunk, "patch_embed"):
        return trunk.blocks[-1], tuple(trunk.patch_embed.grid_size)
    raise UserError(
        f"method: patches needs a vision transformer or a timm ResNet; the picture "
        f"encoder of '{clip.name}' is neither. Use bands, which works with every model."
    )


def _clip(found):
    """Subtract the mean and clip at 0, a few times, to remove the background."""
    for _ in range(_CLIPPED_TIMES):
        found = np.maximum(found - found.mean(), 0)
    return found


def _scale(found):
    low, high = found.min(), found.max()
    if not high > low:
        return np.zeros_like(found)
    return (found - low) / (high - low)


# ---------------------------------------------------------------- command line


def main(argv: list[str]) -> int:
    """Run ``recbole-whisperlite clip ground``; return the exit status.

    Raises:
        UserError: If an option cannot be used, or none of the pictures can be read.
    """
    parser = arguments.make_parser("ground", __doc__)
    group = arguments.add_data(parser, "--picture")
    group.add_argument(
        "--phrase",
        nargs="+",
        default=[],
        help="phrases to find in every picture; --benchmark: one template, with columns "
        'in braces ("{colour} {garment}")',
    )
    parser.add_argument(
        "--method",
        nargs="+",
        default=METHODS[:1],
        choices=METHODS,
        help=f"one or several methods (default: {METHODS[0]})",
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="folder for the maps (.png over the photo, .npy); --benchmark: a JSON file",
    )
    group = parser.add_argument_group("benchmark")
    group.add_argument(
        "--benchmark",
        type=arguments.positive,
        metavar="N",
        help="measure all methods instead: on N drawn pictures or, with --data, on N "
        f"canvases of each ground ({', '.join(GROUNDS)}) with photos of it",
    )
    group.add_argument(
        "--label_column",
        help="column in which the garments of one canvas differ (default: only the "
        "phrases differ)",
    )
    group.add_argument(
        "--seed",
        type=arguments.not_negative,
        default=2020,
        help="seed of the benchmark's pictures (default: 2020)",
    )
    args = parser.parse_args(argv)
    if args.benchmark:
        return _benchmark(args)
    if args.label_column:
        raise UserError("--label_column is for --benchmark.")
    arguments.check_data(args)
    arguments.check_texts(args.phrase, "phrase")
    if not args.output:
        raise UserError("--output: give the folder for the maps.")
    folder = Path(args.output)
    output.check_writable(folder / "map.png")
    pictures = [name for name in arguments.load_catalogue(args).pictures if name]
    clip = arguments.load_encoder(args)
    broken, names = [], set()
    for path in pictures:
        try:
            picture = read_picture(path)
        except PictureError as error:
            broken.append(str(error))
            continue
        for phrase, method in itertools.product(args.phrase, args.method):
            file = folder / _name_file(path, phrase, method, names)
            found = ground(clip, picture, phrase, method, args.batch_size)
            _write(file, picture, found)
            y, x = np.unravel_index(found.argmax(), found.shape)
            print(f"{file}.png, .npy: '{phrase}' by {method}, maximum at x={x}, y={y}")
    if len(broken) == len(pictures):
        raise UserError(some(broken) or f"{args.data[0]}: no product has a picture.")
    if broken:
        logging.getLogger().warning(
            f"{len(broken)} of {len(pictures)} pictures are skipped: {some(broken)}"
        )
    return 0


def _name_file(picture, phrase, method, names):
    """Return a name without suffix that is not in ``names``, and add it to them."""
    words = re.sub(r"\W+", "-", phrase).strip("-").lower() or "phrase"
    member = picture.rpartition(IN_ARCHIVE)[2]
    stem = f"{PurePath(member).stem}-{words[:60]}-{method}"
    name = stem
    for number in itertools.count(2):
        if name not in names:
            break
        name = f"{stem}-{number}"
    names.add(name)
    return name


def _write(file, picture, found):
    with output.writing(f"{file}.npy") as temporary, open(temporary, "wb") as stream:
        np.save(stream, found)
    heatmap.write(f"{file}.png", picture, found)


def _benchmark(args):
    if bool(args.data) != bool(args.phrase) or len(args.phrase) > 1:
        raise UserError(
            "--benchmark draws its own pictures and phrases, or makes them of --data and "
            'one --phrase with columns in braces, such as "{colour} {garment}": give '
            "neither or both."
        )
    if args.output:
        output.check_writable(args.output, read=arguments.files_read(args))
    scenes = _photo_scenes(args) if args.data else _drawn_scenes(args)
    clip = arguments.load_encoder(args)

    def method(name):
        return lambda picture, phrase: ground(
            clip, picture, phrase, name, args.batch_size
        )

    maps = {name: method(name) for name in METHODS}
    result = {}
    for name, some_scenes in scenes.items():
        result[name] = pointing.pointing_game(maps, some_scenes)
        columns = ["map", *pointing.MEASURES, "seconds a map"]
        rows = [
            (of, *(f"{values[key]:.3f}" for key in columns[1:]))
            for of, values in result[name].items()
        ]
        print(f"{name}: {args.benchmark} pictures, {len(some_scenes)} phrases")
        output.print_table(columns, rows)
    if args.output:
        about = {"encoder": clip.name, "n": args.benchmark, "seed": args.seed}
        if args.data:
            about |= {"data": args.data, "phrase": args.phrase[0]}
        output.write_json(args.output, {**about, "maps": result})
    return 0


def _drawn_scenes(args):
    if args.label_column or args.ids:
        raise UserError("--label_column and --ids are for photos: give --data.")
    return {"drawn": drawn_scenes(args.benchmark, args.seed)}


def _photo_scenes(args):
    catalogue = arguments.load_catalogue(args)
    kinds = catalogue.column(args.label_column) if args.label_column else None
    return {
        ground: photo_scenes(
            catalogue, args.phrase[0], args.benchmark, args.seed, ground, kinds
        )
        for ground in GROUNDS
    }
