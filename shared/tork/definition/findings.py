"""The small rules that many fields share, and the list of what they found."""

from __future__ import annotations

from collections.abc import Iterable

from tork.definition.problems import Path, Problem, shown
from tork.durations import parse_nanoseconds
from tork.errors import DurationError, ExpressionError
from tork.expression.references import references
from tork.task import COORDINATOR_QUEUES, PRIVATE_QUEUE_PREFIX, is_task_queue
from tork.urls import A_URL, not_a_url

_A_DURATION = "right would be e.g. '30s', '5m' or '1h30m'"

MAX_EXPRESSION_CHARACTERS = 200_000
"""Compiling costs time by length; all expressions of one job together may have this many characters."""


class Findings:
    """What is wrong with one job. Each check appends a problem, or nothing."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._compiled: dict[str, str] = {}
        self._expression_characters = 0

    def add(self, path: Path, message: str, rule: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(path, message, rule))

    def required(self, value: object, path: Path, right: str) -> None:
        """The field must be set."""
        if not value:
            self.add(path, f"is missing (right would be {right})", "required")

    def at_most(self, text: str, longest: int, path: Path) -> None:
        """The text must not be longer than this."""
        if len(text) > longest:
            self.add(path, f"has {len(text)} characters (right would be at most {longest})", "max")

    def one_of(self, text: str, words: Iterable[str], path: Path) -> None:
        """The text must be empty or one of these words."""
        known = list(words)
        if text and text not in known:
            self.add(
                path, f"{shown(text)} is not known (right would be {', '.join(known[:-1])} or {known[-1]})", "oneof"
            )

    def within(self, value: float, low: int, high: int, path: Path) -> None:
        """The number must be between the two, both included."""
        if value < low:
            self.add(path, f"{_number(value)} is too small (right would be {low} to {high})", "min")
        elif value > high:
            self.add(path, f"{_number(value)} is too large (right would be {low} to {high})", "max")

    def duration(self, text: str, path: Path, *, longest: str = "") -> None:
        """The text must be empty or a duration that is not negative."""
        if not text:
            return
        try:
            nanoseconds = parse_nanoseconds(text)
        except DurationError:
            self.add(path, f"{shown(text)} is not a duration ({_A_DURATION})", "duration")
            return
        if nanoseconds < 0:
            self.add(path, f"{shown(text)} is negative ({_A_DURATION})", "duration")
        elif longest and nanoseconds > parse_nanoseconds(longest):
            self.add(path, f"{shown(text)} is too long (right would be at most '{longest}')", "max")

    def queue(self, name: str, path: Path) -> None:
        """The queue must not be one that the daemons themselves read. Its name is seen by everybody."""
        if any(namespace == "secrets" for namespace, _ in references(name)):
            message = (
                f"{shown(name)} would show a secret: names of queues are seen by everybody (right would be without it)"
            )
            self.add(path, message, "queue")
        if not name or is_task_queue(name):
            return
        if name.startswith(PRIVATE_QUEUE_PREFIX):
            message = f"{shown(name)} belongs to one node (right would be a name not starting with 'x-')"
        else:
            taken = ", ".join(sorted(COORDINATOR_QUEUES))
            message = f"{shown(name)} is a queue of the coordinators (right would be another name than {taken})"
        self.add(path, message, "queue")

    def expression(self, text: str, path: Path) -> None:
        """The text must be empty or compile."""
        if not text:
            return
        if text not in self._compiled:
            self._compiled[text] = self._compile(text)
        if reason := self._compiled[text]:
            whole = "" if "{{" in text else f": {shown(text)} is read as an expression, such as 'inputs.size > 5'"
            self.add(path, f"does not compile{whole}: {reason}", "expr")

    def _compile(self, text: str) -> str:
        """Why the text does not compile, or an empty text."""
        self._expression_characters += len(text)
        if self._expression_characters > MAX_EXPRESSION_CHARACTERS:
            return f"the expressions of the job are longer than {MAX_EXPRESSION_CHARACTERS:,} characters in all"
        from tork.expression import check  # here, because only jobs with expressions need the language

        try:
            check(text)
        except ExpressionError as error:
            return str(error).strip().partition("\n")[0]
        return ""

    def url(self, text: str, path: Path) -> None:
        """The text must be an http or https address with a host."""
        if not text:
            self.required(text, path, f"an address such as {A_URL}")
        elif reason := not_a_url(text):
            self.add(path, f"{shown(text)} {reason} (right would be e.g. {A_URL})", "url")

    def together(self, path: Path, first: str, second: str, rule: str) -> None:
        """Two keys exclude each other."""
        self.add((*path, second), f"can't stand beside {first} (right would be one of the two)", rule)


def _number(value: float) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:20]}…"
