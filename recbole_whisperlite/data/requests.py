"""Decides whether a dataset has requests; nothing else does."""

import os

#: The datasets that this package builds at first use; they have requests.
BUILT_IN = ("stylist-mini",)


def has_requests(
    dataset: str, folder: str | os.PathLike, request_template: str | None
) -> bool:
    """Return whether a dataset has requests.

    Args:
        dataset (str): Its name.
        folder (str or Path): The dataset's own folder, which may not exist yet.
        request_template (str or None): The setting; if it is set, requests are composed
            from columns of the target item.
    """
    return (
        bool(request_template)
        or dataset in BUILT_IN
        or os.path.isfile(os.path.join(folder, f"{dataset}.request"))
    )
