"""The model card: README.md of an exported model."""

from __future__ import annotations

import yaml

# Encoders whose weights come with this package or with the data, and need no name.
_OWN_WEIGHTS = ("tfidf", "precomputed")


def card(about: dict, names: list[str], n_items: int, n_users: int | None) -> str:
    """Return the model card.

    Args:
        about (dict): As in ``config.json``: ``model``, ``dataset``, ``fingerprint``,
            ``valid``, ``test``, ``composed_from``, ``request_kind``, ``settings``,
            ``versions``.
        names (list of str): The encoders.
        n_items (int): Items in the catalogue.
        n_users (int or None): Users with a history; None if they were left out.

    Returns:
        str: Markdown with the metadata that the Hugging Face Hub reads.
    """
    meta = {
        "library_name": "recbole-whisperlite",
        "tags": ["recommender-system", "recbole", "whisperlite", about["model"]],
        "license": "other",
    }
    valid, test = about["valid"] or {}, about["test"] or {}
    metrics = [
        f"| {name} | {_number(valid.get(name))} | {_number(test.get(name))} |"
        for name in {**valid, **test}
    ]
    fingerprint = about["fingerprint"].get("test") or "–"
    lines = [
        "---",
        yaml.safe_dump(meta, sort_keys=False).strip(),
        "---",
        f"# {about['model']} on {about['dataset']}",
        "",
        f"Ranks {n_items} items for a free-text request. Trained with recbole-whisperlite.",
        "",
        "```python",
        "from recbole_whisperlite import Recommender",
        "",
        'shop = Recommender.load("path/of/this/folder")',
        'print(shop.recommend("a warm coat", k=5).to_frame())',
        "```",
        "",
        "## Data and quality",
        "",
        f"- Dataset: {about['dataset']}; fingerprint of the test set: `{fingerprint}`.",
        *_about_requests(about),
        "",
        "| metric | validation | test |",
        "|---|---|---|",
        *(metrics or ["| not measured | | |"]),
        "",
        "## What is inside",
        "",
        f"- Items: their texts and all columns of `{about['dataset']}.item`.",
        _about_users(n_users),
        f"- Encoder: {', '.join(names)}.{_about_weights(names)}",
        "- No pickle, and no code: JSON, safetensors, npy, npz and parquet.",
        "",
        "Licence: texts, histories and what was learnt from them belong to whoever owns "
        f"the data of {about['dataset']}; ask before you pass the folder on. The weights of "
        "an encoder that is downloaded have the licence of its own.",
        "",
        "## Limits",
        "",
        "- It knows requests like those of its training. What a request rules out is "
        "understood in English only, and only by WhisperLitePlus.",
        "- New products are found by their texts; what is learnt from choices "
        "(popularity, counts, neighbours) favours products that were there in training.",
        "- Scores are comparable within one answer only.",
        "",
        "## Settings",
        "",
        "```yaml",
        yaml.safe_dump(about["settings"], sort_keys=True, width=88).strip(),
        "```",
        "",
        "Versions: "
        + ", ".join(f"{name} {v}" for name, v in about["versions"].items() if v)
        + ".",
        "",
    ]
    return "\n".join(lines)


def _number(value):
    return "–" if value is None else f"{value:.4f}"


def _about_requests(about):
    if about["composed_from"]:
        return [
            "- Requests were composed from columns of the target item "
            f"(`{about['composed_from']}`): they reveal its attributes, and the figures "
            "are not those of requests that people write."
        ]
    if about["request_kind"] == "review":
        return [
            "- Requests are reviews of the target item, written after the interaction: "
            "they may name it."
        ]
    return []


def _about_users(n_users):
    if n_users is None:
        return "- Users: none; histories were left out."
    return (
        f"- Users: the histories of {n_users} users, under their ids in the dataset. These "
        "are personal data; `--without-users` leaves them out."
    )


def _about_weights(names):
    absent = [name for name in names if name not in _OWN_WEIGHTS]
    if not absent:
        return ""
    return f" The weights of {', '.join(absent)} are not in this folder."
