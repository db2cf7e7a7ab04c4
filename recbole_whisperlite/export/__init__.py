"""Export: from RecBole's checkpoint to a model that stands on its own."""
