"""Export: from RecBole's checkpoint to a model that stands on its own."""

import recbole  # noqa: F401  (first, as it imports what is below)

from recbole_whisperlite.export.model import export_checkpoint, export_model

__all__ = ["export_checkpoint", "export_model"]
