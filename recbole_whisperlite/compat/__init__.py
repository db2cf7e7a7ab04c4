"""What RecBole 1.2.1 needs to run with current dependencies."""

from recbole_whisperlite.compat.repairs import apply, status, unusable

__all__ = ["apply", "status", "unusable"]
