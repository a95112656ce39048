"""Whether a request of a webhook is done, is tried again, or is given up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from torkd.hooks.webhook_sender import Answer

RETRY_SECONDS = (2.0, 4.0, 6.0, 8.0)
"""The waits between the tries."""
MOST_TRIES = len(RETRY_SECONDS) + 1
TRIED_AGAIN = frozenset({429, 500, 502, 503, 504})
LONGEST_RETRY_AFTER = 60.0
"""A receiver may ask for a longer pause than ours, up to this."""
OLDEST_SECONDS = 24 * 3600.0
"""What waits for longer behind others is given up: a receiver that never answers must not fill the database."""


class Fate(Enum):
    """What becomes of a request."""

    DONE = auto()
    AGAIN = auto()
    GIVEN_UP = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The fate, and in words why it is not done."""

    fate: Fate
    reason: str = ""
    wait_seconds: float = 0.0


def judge(answer: Answer, tries: int) -> Verdict:
    """The verdict after so many tries, of which this answer ended the last."""
    if answer.status is not None and 200 <= answer.status < 300:
        return Verdict(Fate.DONE)
    reason = answer.error if answer.status is None else f"HTTP status {answer.status}"
    may_try_again = not answer.is_final and (answer.status is None or answer.status in TRIED_AGAIN)
    if not may_try_again or tries >= MOST_TRIES:
        return Verdict(Fate.GIVEN_UP, reason)
    asked = min(answer.retry_after or 0.0, LONGEST_RETRY_AFTER)
    return Verdict(Fate.AGAIN, reason, max(RETRY_SECONDS[tries - 1], asked))
