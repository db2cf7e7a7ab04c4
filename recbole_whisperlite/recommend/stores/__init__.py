"""Where the best items are looked for: every row, a graph on disk, or a shop's cluster.

Every store gives the same answers, as far as it finds the candidates: the sparse parts of a
score (what was counted, neighbors, words of refusals) are never in a store, and whatever it
finds is scored again by the model itself.
"""
