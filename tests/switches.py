"""The parts of WhisperLitePlus that can be switched off."""

#: Those that say something by themselves; ``use_similar_requests`` is a part of the memory.
SWITCHES = (
    "use_memory",
    "use_neighbors",
    "use_transitions",
    "use_history",
    "use_similarity",
    "use_refusals",
)
