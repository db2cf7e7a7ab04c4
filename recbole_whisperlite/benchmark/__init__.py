"""Side by side: several models, one test set, one table."""
