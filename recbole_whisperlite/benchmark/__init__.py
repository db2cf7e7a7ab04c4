"""Compares models: several models, one test set, one table."""
