"""The one place that decides whether a dataset has requests."""

import os

#: Datasets that this package makes at first use; they have requests.
BUILT_IN = ("stylist-mini",)


def has_requests(
    dataset: str, folder: str | os.PathLike, request_template: str | None
) -> bool:
    """Tell whether a dataset is request-aware.

    Args:
        dataset (str): Its name.
        folder (str or Path): The dataset's own folder, which may not be made yet.
        request_template (str or None): The setting; where it is set, requests are composed
            from columns of the chosen item.
    """
    return (
        bool(request_template)
        or dataset in BUILT_IN
        or os.path.isfile(os.path.join(folder, f"{dataset}.request"))
    )
