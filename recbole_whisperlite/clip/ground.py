"""Show where in a picture a phrase is: a heat map over the photo, and as an array.

bands: all but a band of the photo is greyed out; where the similarity gains, there it is
(as FashionCLIP does it). patches: how similar each place is by itself; one pass. With --benchmark, both are measured on drawn pictures whose garments' places are known.
"""

import itertools
import logging
import re
from pathlib import Path, PurePath

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from recbole_whisperlite.clip import arguments, heatmap, output, pointing
from recbole_whisperlite.encoder.pictures import (
    IN_ARCHIVE,
    PictureError,
    read_picture,
    some,
)
from recbole_whisperlite.errors import UserError

METHODS = ("bands", "patches")

#: Widths of bands as shares of the picture's side. Half a band overlaps the next: 15, 7
#: and 3 bands, lying and standing, are 50 passes of the picture encoder, and one more.
WIDTHS = (1 / 8, 1 / 4, 1 / 2)
_CLIPPED_TIMES = 3
#: How many times larger a convolutional network sees the picture for ``patches``.
_ENLARGED = 4


def ground(clip, picture, phrase, method="bands", batch_size=64):
    """Return where in a picture a phrase is.

    Args:
        clip (Clip): The encoder.
        picture (str, Path or PIL.Image.Image): The picture, of any shape; nothing of it
            is cropped.
        phrase (str): Such as ``long sleeve``.
        method (str): One of :data:`METHODS`.
        batch_size (int): Pictures encoded at once, for ``bands``.

    Returns:
        numpy.ndarray: float32 ``[height, width]`` of the picture, from 0 to 1, or all 0
        if no place is better than another.

    Raises:
        UserError: If the phrase is empty, the picture cannot be read, the method does
            not exist or, for ``patches``, the model has none.
    """
    arguments.check_texts([phrase], "phrase")
    if method not in METHODS:
        raise UserError(
            f"method: '{method}' is not accepted. Accepted are {', '.join(METHODS)}."
        )
    picture = read_picture(picture)
    phrase = torch.from_numpy(clip.encode_texts([phrase], progress=False)[0])
    padded, box = _pad(picture)
    pixels = clip.preprocess(padded)
    if method == "bands":
        found = _bands(clip, pixels, phrase, batch_size)
    else:
        found = _patches(clip, padded, pixels, phrase)
    found = Image.fromarray(found.astype(np.float32))
    found = found.resize(padded.size, Image.Resampling.BICUBIC).crop(box)
    return _scale(np.asarray(found))


def _pad(picture):
    """Make a picture square in the colour of its margin; return where it lies.

    A model's own preparation may crop what is not square, and show it no sleeves.
    """
    pixels = np.asarray(picture)
    margin = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    colour = tuple(int(c) for c in np.median(np.concatenate(margin), axis=0))
    side = max(picture.size)
    left, top = ((side - length) // 2 for length in picture.size)
    padded = Image.new("RGB", (side, side), colour)
    padded.paste(picture, (left, top))
    return padded, (left, top, left + picture.width, top + picture.height)


# ---------------------------------------------------------------- bands


@torch.inference_mode()
def _bands(clip, pixels, phrase, batch_size):
    """The gain in similarity over the whole picture, averaged over a pixel's bands.

    Grey is zero, the mean colour of what the model was trained on.
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
    return _clip((total / (covering[None, :] + covering[:, None])).numpy())


def _clip(found):
    """Cut off what is below the mean, a few times: the background goes."""
    for _ in range(_CLIPPED_TIMES):
        found = np.maximum(found - found.mean(), 0)
    return found


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
    """The similarity of each place of the picture by itself, in one pass."""
    visual = clip.model.visual
    trunk = getattr(visual, "trunk", None)
    if hasattr(trunk, "global_pool") and hasattr(trunk, "layer4"):
        return _clip(_places(clip, padded, phrase))
    return _clip(_alone(clip, pixels, phrase))


@torch.inference_mode()
def _places(clip, padded, phrase):
    """The similarity of each place of a ResNet's last map, enlarged beforehand.

    Such a network averages its last map and projects the mean. Projected place by place,
    the map says what each place brings to the mean (class activation map: Zhou et al.
    2016). Being convolutional, it sees a picture of any size, and finer in a larger one.
    """
    visual = clip.model.visual
    config = {**visual.preprocess_cfg, "size": clip.image_size * _ENLARGED}
    pixels = image_transform_v2(PreprocessCfg(**config), is_train=False)(padded)
    found = visual.trunk.forward_features(pixels[None].to(clip.device))
    vectors = visual.head(found[0].movedim(0, -1))
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    return (vectors @ phrase.to(clip.device)).cpu().numpy()


@torch.inference_mode()
def _alone(clip, pixels, phrase):
    """The similarity of each patch, as the last block's attention would hand it on.

    The whole picture goes through all blocks but the last. There each patch is let in
    alone, so that attention gives its own value, and nothing but that goes on to the
    pooling and the common space (MaskCLIP: Zhou, Loy & Dai 2022, for any pooling).
    """
    block, grid = _last_block(clip)
    values = []

    def part(module, inputs):
        # Class and other extra tokens come before the patches. Each comes twice, for
        # poolings that leave out the first token.
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
    trunk = getattr(visual, "trunk", None)  # timm's, such as SigLIP's
    if hasattr(trunk, "blocks") and hasattr(trunk, "patch_embed"):
        return trunk.blocks[-1], tuple(trunk.patch_embed.grid_size)
    raise UserError(
        f"method: patches needs a vision transformer or a ResNet; the picture encoder "
        f"of '{clip.name}' is neither. Use bands, which works with every model."
    )


def _scale(found):
    low, high = found.min(), found.max()
    if not high > low:
        return np.zeros_like(found)
    return (found - low) / (high - low)


# ---------------------------------------------------------------- command line


def main(argv):
    """Run ``clip ground``; return the exit status."""
    parser = arguments.make_parser("ground", __doc__)
    parser.add_argument("--picture", nargs="+", default=[], help="pictures")
    parser.add_argument("--phrase", nargs="+", default=[], help="each on each picture")
    parser.add_argument(
        "--method", nargs="+", default=METHODS[:1], choices=METHODS, help="how"
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="folder of the maps (.png over the photo, .npy); --benchmark: a json file",
    )
    parser.add_argument(
        "--benchmark",
        type=arguments.positive,
        metavar="N",
        help="measure all methods on N drawn pictures instead",
    )
    parser.add_argument(
        "--seed", type=arguments.not_negative, default=2020, help="of drawn pictures"
    )
    args = parser.parse_args(argv)
    if args.benchmark and (args.picture or args.phrase):
        raise UserError(
            "--benchmark draws its pictures and phrases: give it, or --picture and "
            "--phrase."
        )
    if args.benchmark:
        return _benchmark(args)
    if not args.picture:
        raise UserError("There is no picture: give --picture, or --benchmark.")
    arguments.check_texts(args.phrase, "phrase")
    if not args.output:
        raise UserError("--output: name the folder that the maps are written to.")
    folder = Path(args.output)
    output.check_writable(folder / "map.png")
    clip = arguments.load_encoder(args)
    broken, names = [], set()
    for path in args.picture:
        try:
            picture = read_picture(path)
        except PictureError as error:
            broken.append(error)
            continue
        for phrase, method in itertools.product(args.phrase, args.method):
            file = folder / _name_file(path, phrase, method, names)
            found = ground(clip, picture, phrase, method, args.batch_size)
            _write(file, picture, found)
            y, x = np.unravel_index(found.argmax(), found.shape)
            print(f"{file}.png, .npy: '{phrase}' by {method}, most at x={x}, y={y}")
    if len(broken) == len(args.picture):
        raise broken[0]
    if broken:
        logging.getLogger().warning(
            f"{len(broken)} of {len(args.picture)} pictures are left out: "
            f"{some([str(error) for error in broken])}"
        )
    return 0


def _name_file(picture, phrase, method, names):
    """Return a name without suffix that is not among ``names``, and put it there."""
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
    if args.output:
        output.check_writable(args.output)
    clip = arguments.load_encoder(args)

    def method(name):
        return lambda picture, phrase: ground(
            clip, picture, phrase, name, args.batch_size
        )

    maps = {name: method(name) for name in METHODS}
    result = pointing.pointing_game(maps, args.benchmark, args.seed)
    columns = ["map", *pointing.MEASURES, "seconds a map"]
    rows = [
        (name, *(f"{values[key]:.3f}" for key in columns[1:]))
        for name, values in result.items()
    ]
    print(f"{args.benchmark} drawn pictures of two garments, one phrase each")
    output.print_table(columns, rows)
    if args.output:
        about = {"encoder": clip.name, "n": args.benchmark, "seed": args.seed}
        output.write_json(args.output, {**about, "maps": result})
    return 0
