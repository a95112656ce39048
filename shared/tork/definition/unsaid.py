"""Keeps the secrets of a document out of what is said about it: who reads of a mistake, in a log of a pipeline, need not know them."""

from __future__ import annotations

from collections.abc import Iterator

from tork.definition.problems import printable
from tork.job import JobDefinition

_HIDDEN = "[REDACTED]"
_MIN_LENGTH = 4
"""Shorter ones would be found in half of all words."""
_CUT = "…"
"""Where a cited text was cut."""


def without_secrets(line: str, job: JobDefinition) -> str:
    """The line without values of the job's secrets; without a beginning of one, where it was cut."""
    for form in sorted(set(_forms(job)), key=len, reverse=True):
        line = line.replace(form, _HIDDEN)
        before, cut, after = line.partition(_CUT)
        if cut and (length := _beginning(form, before)):
            line = before[:-length] + _HIDDEN + cut + after
    return line


def _forms(job: JobDefinition) -> Iterator[str]:
    for value in job.secrets.values():
        for text in (value, *value.splitlines()):
            if len(text.strip()) >= _MIN_LENGTH:
                yield text.strip()
                yield printable(text.strip())


def _beginning(form: str, text: str) -> int:
    """How many of the last characters are a beginning of the form."""
    return next(
        (size for size in range(min(len(form), len(text)), _MIN_LENGTH - 1, -1) if text.endswith(form[:size])), 0
    )
