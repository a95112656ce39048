"""Every error this project raises, under one root.

    TorkError
    ├── DefinitionError       a job file or document is wrong; carries every problem found
    ├── ExpressionError       an expression or template is wrong, or could not be evaluated
    ├── DurationError         a text is not a duration
    ├── SettingsError         a configuration value can't be used
    ├── Refused               something the operator registered does not allow it; the text says why
    ├── TimedOut              what was waited for did not come in time
    ├── NotFound              no such job, task, node or queue
    ├── StateConflict         the thing exists, but its state forbids the request
    ├── IdempotencyConflict   the same idempotency key came with another body
    ├── IllegalTransition     an event asked for a state change that the tables forbid
    ├── Unavailable           a server we depend on does not answer now; waiting may help
    │   ├── DatastoreUnavailable
    │   └── BrokerUnavailable
    ├── BadData               the datastore refused a value; retrying the same value can't help
    ├── RuntimeFailure        a task could not be run, or ended badly; its text is the task's error
    │   ├── TaskTimedOut
    │   └── TaskStopped       cancelled, or stopped because another run owns it
    │       └── RunLeft       not ended at all: it goes on, and the worker's successor takes it up
    └── StartError            the daemon can't start; one sentence for the operator

Errors know nothing of HTTP status or exit codes: `torkd.api.errors` and `torkctl.diagnostics` hold those tables.
"""

from __future__ import annotations


class TorkError(Exception):
    """The root: catching it catches everything this project raises on purpose."""


class DefinitionError(TorkError):
    """A job definition was refused. `problems` has one line for each mistake, in the order of the file."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ExpressionError(TorkError):
    """An expression or template is wrong or failed. `position` is a character offset into the expression, or None."""

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class DurationError(TorkError, ValueError):
    """A text is not a duration such as `1h30m`."""


class SettingsError(TorkError):
    """A configuration value can't be used: the message names the file, the key, the value and what is right."""


class Refused(TorkError):
    """Something that the operator registered refuses it: the text is for whoever asked."""


class TimedOut(TorkError, TimeoutError):
    """What was waited for did not come in the time given."""


class NotFound(TorkError):
    """No such thing, or not one the caller may see."""


class StateConflict(TorkError):
    """The thing exists, but its state forbids what was asked."""


class IdempotencyConflict(TorkError):
    """The idempotency key was used before, with another body."""


class IllegalTransition(TorkError):
    """The transition tables do not allow this change of state; nothing was changed."""


class Unavailable(TorkError):
    """A server this depends on does not answer now."""


class DatastoreUnavailable(Unavailable):
    """The database does not answer, or ended the connection; the transaction did not commit as far as is known."""


class BrokerUnavailable(Unavailable):
    """The broker does not answer, or did not confirm."""


class BadData(TorkError):
    """The datastore refused a value (SQLSTATE classes 22 and 23): sending the same again can't help."""


class RuntimeFailure(TorkError):
    """A task could not be run or ended badly. The text becomes the task's `error`."""


class TaskTimedOut(RuntimeFailure):
    """The task's `timeout` ran out."""


class TaskStopped(RuntimeFailure):
    """The run was told to stop: its task was cancelled, or another run owns it."""


class RunLeft(TaskStopped):
    """The run goes on without its worker, which shuts down: a successor takes it up."""


class StartError(TorkError):
    """The daemon can't start: one sentence that says what to change."""
