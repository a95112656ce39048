"""The server's figures, read from the text that Prometheus reads, and how fast they grow."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? ([0-9.eE+-]+)$", re.MULTILINE)
_STATE = re.compile(r'(?:^|,)state="(\w+)"')

Figures = Mapping[str, Mapping[str, float]]
"""Of each figure its values by the label `state`, under an empty one where it has none."""


def read_figures(text: str) -> Figures:
    """The figures in the text; none when it is something else."""
    found: dict[str, dict[str, float]] = {}
    for name, labels, value in _SAMPLE.findall(text):
        state = _STATE.search(labels)
        by_state = found.setdefault(name, {})
        key = state[1] if state else ""
        by_state[key] = by_state.get(key, 0.0) + float(value)
    return found


def per_second(name: str, state: str, before: Figures, now: Figures, seconds: float) -> float | None:
    """How fast a counter grew. Nothing where it isn't known, or shrank: another process answered, or it has started anew."""
    if name not in now or name not in before:
        return None
    grown = now[name].get(state, 0.0) - before[name].get(state, 0.0)
    return round(grown / seconds, 2) if grown >= 0 and seconds > 0 else None


def count(name: str, figures: Figures, *states: str) -> int | None:
    """How many are in one of these states; nothing where the server can't look it up now."""
    if "tork_jobs_stored" not in figures:
        return None
    return int(sum(figures.get(name, {}).get(state, 0.0) for state in states))
