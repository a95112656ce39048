"""What goes wrong between a command line and a server, beside the errors everybody shares.

    TorkError
    ├── UsageProblem       the arguments, or a file they name, can't be used
    │   └── TooShort       a word can't be the beginning of an id, but a name it may be
    ├── Refused            the server understood the request and will not have it
    │   └── Removed        it was carried out once, and what came of it was removed since
    ├── Denied             not authenticated, or not permitted
    ├── Unsupported        the server does not know this part of the API
    ├── Declined           somebody was asked first, and said no
    ├── OutOfTime          the time that the caller gave ran out
    └── Unavailable
        └── NoAnswer       5xx, 429, a lost connection, or something that is not this API; waiting may help
            └── Unreached  there was no connection at all

They know nothing of exit codes: `torkctl.diagnostics` holds that table.
"""

from __future__ import annotations

from tork.errors import TorkError, Unavailable


class UsageProblem(TorkError):
    """The arguments, or a file they name, can't be used: nothing was sent."""


class TooShort(UsageProblem):
    """A word has too few characters for the beginning of an id."""


class Refused(TorkError):
    """The server understood the request and will not have it; sending it again can't help."""


class Removed(Refused):
    """The idempotency key was used before, for something that was removed since."""


class Denied(TorkError):
    """The credentials are missing or wrong, or don't allow this."""


class Unsupported(TorkError):
    """The server does not know this part of the API."""


class Declined(TorkError):
    """Somebody was asked whether it should be done, and said no: nothing was changed."""


class OutOfTime(TorkError):
    """The time the caller gave ran out; what was waited for goes on."""


class NoAnswer(Unavailable):
    """The server can't be reached, or says it can't answer now: what became of the request is unknown."""

    def __init__(self, message: str, *, retry_after: float | None = None, body: bytes = b"") -> None:
        super().__init__(message)
        self.body = body
        """What the server said with it."""
        self.retry_after = retry_after
        """Seconds the server asks us to wait before the next attempt."""


class Unreached(NoAnswer):
    """No connection to the server could be made: it does not run, or it is another one's address."""
