"""Queue keys that a capa state waits for. Pure; tolerates malformed states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def waiting_keys(state: Mapping[str, Any]) -> frozenset[str]:
    """Return the queue keys of all inputs in ``state`` that wait for a grader."""
    return frozenset(waiting_answers(state)) | frozenset(waiting_inputs(state))


def waiting_answers(state: Mapping[str, Any]) -> dict[str, str]:
    """Return queue key -> id of the answer that waits for a grade."""
    found = {}
    for answer_id, entry in _entries(state, "correct_map"):
        queuestate = entry.get("queuestate")
        if isinstance(queuestate, Mapping) and isinstance(queuestate.get("key"), str):
            found[queuestate["key"]] = answer_id
    return found


def waiting_inputs(state: Mapping[str, Any]) -> dict[str, str]:
    """Return queue key -> id of the input that waits for the output of a trial run."""
    return {
        entry["queuekey"]: input_id
        for input_id, entry in _entries(state, "input_state")
        if entry.get("queuestate") == "queued" and isinstance(entry.get("queuekey"), str)
    }


def _entries(state: Mapping[str, Any], field: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    entries = state.get(field)
    if isinstance(entries, Mapping):
        yield from ((name, e) for name, e in entries.items() if isinstance(e, Mapping))
