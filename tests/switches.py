"""The parts of WhisperLitePlus that can be switched off."""

SWITCHES = (
    "use_memory",
    "use_similar_requests",
    "use_neighbors",
    "use_transitions",
    "use_history",
    "use_similarity",
    "use_refusals",
)
