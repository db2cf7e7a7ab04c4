"""The command ``encode``: a dataset with its vectors, for RecBole without this package."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import yaml

from recbole_whisperlite import config_files
from recbole_whisperlite.cluster import options
from recbole_whisperlite.encoder import shards
from recbole_whisperlite.errors import UserError
from recbole_whisperlite.files import check_folder, part_folder
from recbole_whisperlite.upstream.stock import write_stock


def main(argv: list[str]) -> int:
    """Write a dataset with requests, and the vectors of an encoder, in RecBole's layout.

    Args:
        argv (list of str): ``--dataset --output --config_files --images``; every other
            ``--key=value`` is a setting.

    Returns:
        int: The exit status.

    Raises:
        UserError: If the dataset has no requests, a setting is wrong, or the folder is
            not empty or cannot be written to.
    """
    args, flags = _parser().parse_known_args(argv)
    config_files.check_flags(flags)
    check_folder(args.output, "--output")
    if args.output.is_dir() and any(args.output.iterdir()):
        raise UserError(f"--output {args.output}: this folder is not empty.")
    sys.argv = [sys.argv[0], *flags]  # RecBole's Config reads it
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"recbole\.")
    if args.cluster:
        options.workers_of(args.cluster)
    memory = options.memory_of(args.task_memory)
    dataset = _dataset(args)
    output = args.output.expanduser().absolute()
    output.parent.mkdir(parents=True, exist_ok=True)
    with part_folder(output) as workshop:
        made = workshop / output.name
        with _somewhere(args.cluster, output.parent, memory):
            names = _write(dataset, made, args.images)
        os.rename(made, output)  # over an empty folder, too
    for name in names:
        print(f"  {output / name}")
    print(
        "\nNext, in a RecBole that has WhisperLite\n  python run_recbole.py "
        f"--model=WhisperLite --dataset={output.name} --data_path={output.parent} "
        f"--config_files={output / names[-1]}"
    )
    return 0


@contextlib.contextmanager
def _somewhere(cluster, folder, memory):
    """Have texts encoded by workers of a cluster meanwhile, where there is one."""
    if cluster is None:
        yield
        return
    from recbole_whisperlite.cluster.connection import connected

    with connected(cluster, folder) as workers:
        with shards.encoding_on(workers, memory):
            yield


def _dataset(args):
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.utils import init_logger, init_seed

    from recbole_whisperlite.data.dataset import RequestDatasetMixin

    images = {"use_image": True} if args.images else {}
    config = Config("WhisperLite", args.dataset, args.config_files.split(), images)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    dataset = create_dataset(config)
    if not isinstance(dataset, RequestDatasetMixin):
        raise UserError(f"The dataset '{args.dataset}' has no requests to encode.")
    dataset.build()  # numbers what was read
    return dataset


def _write(dataset, folder, with_images):
    """Write the files of a dataset; return their names, that of the settings last."""
    user, item = dataset.uid_field, dataset.iid_field
    request, time = dataset.request_text_field, dataset.time_field
    tokens = {"request": dataset.request_texts, "item": dataset.field2id_token[item]}
    vectors = {"request": dataset.request_vectors(), "item": dataset.item_vectors()}
    if with_images:
        tokens["image"] = tokens["item"]
        vectors["image"], has_image = dataset.item_image_vectors()
        vectors["image"][~has_image] = 0

    columns = {
        "inter": {user: "token", item: "token", request: "token"},
        "item": {item: "token", **dict.fromkeys(dataset.item_text_columns, "token")},
    }
    if time in dataset.inter_feat:
        columns["inter"][time] = "float"
    frame = dataset.item_file.frame
    frame = frame[frame[item].isin({*tokens["item"][1:]})]
    rows = {
        "inter": _interactions(dataset, columns["inter"]),
        "item": frame[[*columns["item"]]].itertuples(index=False),
    }
    for side in vectors:
        name = f"{side}_vector"
        columns[name] = {f"{side}_of_vector": "token", name: "float_seq"}
        rows[name] = _vectors(tokens[side], vectors[side])

    for suffix in columns:
        path = folder / f"{folder.name}.{suffix}"
        write_stock(path, columns[suffix], rows[suffix])
    settings = folder / f"{folder.name}.yaml"
    settings.write_text(_settings(dataset.config, columns, [*vectors]), "utf-8")
    return [f"{folder.name}.{suffix}" for suffix in (*columns, "yaml")]


def _interactions(dataset, columns):
    """Lines of the interactions as they are left after RecBole's filters."""
    tokens = dataset.field2id_token | {
        dataset.request_text_field: np.array(dataset.request_texts, dtype=object)
    }
    values = []
    for column in columns:
        found = dataset.inter_feat[column].numpy()
        found = tokens[column][found] if column in tokens else found
        values.append(found.tolist())
    return zip(*values)


def _vectors(tokens, vectors):
    """Lines of a file of vectors; nine digits are all that a float32 has."""
    for token, vector in zip(tokens[1:], vectors[1:]):
        yield token, " ".join(f"{value:.9g}" for value in vector.tolist())


def _settings(config, columns, sides):
    """The settings by which RecBole reads the files."""
    fields = ("REQUEST_FIELD", "USER_ID_FIELD", "ITEM_ID_FIELD", "TIME_FIELD")
    content = {
        "load_col": {suffix: [*names] for suffix, names in columns.items()},
        "additional_feat_suffix": [f"{side}_vector" for side in sides],
        "preload_weight": {f"{side}_of_vector": f"{side}_vector" for side in sides},
        "alias_of_request": ["request_of_vector"],
        "alias_of_item_id": [
            f"{side}_of_vector" for side in sides if side != "request"
        ],
        "normalize_all": False,  # it would change the vectors
        **{field: config[field] for field in fields},
        "use_image": "image" in sides,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _parser():
    parser = argparse.ArgumentParser(
        prog="recbole-whisperlite encode",
        description="Write a dataset with requests, and the vectors of an encoder, as files "
        "that RecBole reads without this package: the request as a column of .inter, and "
        "vectors for preload_weight. Every other --key=value is a setting, such as "
        "--encoder=fashion-clip.",
    )
    parser.add_argument("--dataset", required=True, help="the dataset, as in a run")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="its name is the name",
    )
    parser.add_argument(
        "--config_files", default="", metavar="FILES", help="as in a run"
    )
    parser.add_argument(
        "--images", action="store_true", help="vectors of pictures, too"
    )
    options.add_options(parser)
    return parser
