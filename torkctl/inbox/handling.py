"""What is done about one file that has stopped changing: read, compared, checked, submitted, and put where it belongs.

Invariant: whatever line this dies on, doing it again from the start leads to the same, and to one job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tork.definition.text import MAX_BYTES
from tork.errors import DefinitionError, IdempotencyConflict, NotFound, Unavailable
from torkctl import diagnostics
from torkctl.client import Api
from torkctl.client.api import JobQuery
from torkctl.diagnostics import ExitCode
from torkctl.errors import Denied, NoAnswer, Refused, Removed, Unsupported
from torkctl.inbox.awaiting import Awaiting
from torkctl.inbox.claims import Claims
from torkctl.inbox.folder import Folder, StillWritten, reason, unreadable
from torkctl.inbox.happenings import Happening, Kind, Tell
from torkctl.inbox.identity import Writing, key_of
from torkctl.inbox.ledger import Entry, Ledger
from torkctl.inbox.names import ERROR_SUFFIX, shown
from torkctl.inbox.taking import Taking
from torkctl.inbox.tracker import Signature
from torkctl.submission import Submission, as_submission


@dataclass(frozen=True, kw_only=True)
class Done:
    """Nothing is to be done until the file changes. `key` is what it was submitted under."""

    key: str = ""
    code: ExitCode = ExitCode.DONE


@dataclass(frozen=True)
class Gone:
    """The file is not there any more."""


@dataclass(frozen=True)
class Written:
    """Somebody is writing it."""


@dataclass(frozen=True)
class Claimed:
    """Another watcher is at it."""


@dataclass(frozen=True)
class Held:
    """It is a job, and would be sent if the server were not away."""


@dataclass(frozen=True, kw_only=True)
class Stuck:
    """Something about this file or its folder is wrong that may change without the file's changing."""

    code: ExitCode


@dataclass(frozen=True, kw_only=True)
class Away:
    """The server does not answer now."""

    error: NoAnswer


Step = Done | Gone | Written | Claimed | Held | Stuck | Away


@dataclass(kw_only=True)
class Handler:
    """Handles files one after the other."""

    folder: Folder
    ledger: Ledger
    claims: Claims
    awaiting: Awaiting | None
    """None when no results are wanted."""

    api: Api
    """Asked with little patience: who waits for the server is the caller."""

    may_send: Callable[[], bool]
    """Whether the server is worth asking now."""

    reached: Callable[[], None]
    """Called when it has answered."""

    tell: Tell
    reruns: bool
    taking: Taking

    def __post_init__(self) -> None:
        self._refused: dict[str, tuple[Signature, Sequence[str]]] = {}
        """What was told of files, so that trying again is silent."""
        self._overruled: set[str] = set()
        self._held: set[str] = set()
        """The keys of what was checked while the server was away, so that it is not checked again and again."""

    def handle(self, name: str, signature: Signature) -> Step:
        """Do what is to be done about it. Raises `Denied` when the server does not know us."""
        try:
            content = self.folder.read(name, signature)
        except StillWritten:
            return Written()
        except FileNotFoundError:
            return Gone()
        except OSError as error:
            self._refuse(name, signature, [unreadable(name, error)], Kind.UNREADABLE)
            return Stuck(code=ExitCode.USAGE)
        key = submission_key(content, name, signature.mtime_ns, reruns=self.reruns)
        entry = self.ledger.find(key)
        if entry is not None and entry.knows(name, signature.mtime_ns):
            return self._known(name, signature, key, entry)
        return self._submit(name, signature, content, key)

    def overrule(self, name: str) -> None:
        """Submit the file though another watcher has had the claim for long: it may be frozen."""
        self._overruled.add(name)

    def _submit(self, name: str, signature: Signature, content: bytes, key: str) -> Step:
        if key in self._held and not self.may_send():
            return Held()
        try:
            submission = as_submission(content, source=shown(name))
        except DefinitionError as error:
            return self._refuse(name, signature, error.problems)
        if not self.may_send():
            self._held.add(key)
            return Held()
        if not self.claims.take(key) and name not in self._overruled:
            return Claimed()
        try:
            return self._submit_claimed(name, signature, submission, key)
        except (Refused, IdempotencyConflict) as error:
            self.reached()
            return self._refuse(name, signature, [f"{shown(name)}: {error}"])
        except Denied as error:
            return self._denied(name, signature, error)
        except NoAnswer as error:
            return Away(error=error)
        except (NotFound, Unsupported) as error:
            return Away(error=NoAnswer(f"{error} (is {self.api.transport.endpoint} the right address?)"))
        finally:
            self.claims.drop(key)

    def _submit_claimed(self, name: str, signature: Signature, submission: Submission, key: str) -> Step:
        known = self.ledger.find(key)
        if known is not None and known.knows(name, signature.mtime_ns):
            return self._known(name, signature, key, known)  # the one who had the claim has done it
        entry = self._send(name, submission, key, known).also_from(name, signature.mtime_ns)
        self.ledger.write(key, entry)
        self._held.discard(key)
        return self._put_away(name, signature, key, entry, is_news=True)

    def _send(self, name: str, submission: Submission, key: str, known: Entry | None) -> Entry:
        """What is remembered may be of a server that was set up anew since, so the server is asked and decides."""
        send = self.api.schedule if submission.is_scheduled else self.api.submit
        is_schedule = submission.is_scheduled
        try:
            submitted, _ = send(submission.body, submission.media_type, idempotency_key=key)
        except Removed:
            self.reached()
            self.tell(Happening(kind=Kind.DUPLICATE, file=name, id=known.id if known else "", is_schedule=is_schedule))
            return known or Entry(id="", is_schedule=is_schedule)
        self.reached()
        if known is not None and known.id == submitted.id:
            self.tell(Happening(kind=Kind.DUPLICATE, file=name, id=submitted.id, is_schedule=is_schedule))
            return known
        kind = Kind.SCHEDULED if is_schedule else Kind.SUBMITTED
        self.tell(Happening(kind=kind, file=name, id=submitted.id, name=submitted.name, is_schedule=is_schedule))
        return Entry(id=submitted.id, is_schedule=is_schedule)

    def _denied(self, name: str, signature: Signature, error: Denied) -> Step:
        """Whether it is about us or about this file only shows with a question that has nothing to do with it."""
        try:
            self.api.jobs(JobQuery(), size=1)
        except Unavailable as unavailable:
            return Away(error=NoAnswer(str(unavailable)))
        self.reached()
        return self._refuse(name, signature, [f"{shown(name)}: {error}"])

    def _known(self, name: str, signature: Signature, key: str, entry: Entry) -> Step:
        diagnostics.detail(f"{shown(name)} was submitted before, as {entry.id}")
        return self._put_away(name, signature, key, entry, is_news=False)

    def _put_away(self, name: str, signature: Signature, key: str, entry: Entry, *, is_news: bool) -> Step:
        try:
            if self.awaiting and entry.id and not entry.is_schedule:
                self.awaiting.add(entry.id, name, is_news=is_news)
            self.folder.remove_beside(name, ERROR_SUFFIX)
            is_gone = self.taking.take(name, key)
        except OSError as error:
            if self._is_new(name, signature, [str(error)]):
                diagnostics.warning(f"{shown(name)} was submitted, but could not be put away: {reason(error)}")
            return Stuck(code=ExitCode.FAILED)
        self._refused.pop(name, None)
        self._overruled.discard(name)
        return Gone() if is_gone else Done(key=key)

    def _refuse(
        self, name: str, signature: Signature, problems: Sequence[str], kind: Kind = Kind.INVALID
    ) -> Done | Stuck:
        step: Done | Stuck = Done(code=ExitCode.USAGE)
        try:
            self._write_problems(name, signature, problems)
        except OSError as error:
            if self._is_new(name + ERROR_SUFFIX, signature, [str(error)]):
                diagnostics.warning(f"{shown(name)}{ERROR_SUFFIX} can't be written: {reason(error)}")
            step = Stuck(code=ExitCode.USAGE)
        if self._is_new(name, signature, problems):
            self.tell(Happening(kind=kind, file=name, problems=problems))
        return step

    def _write_problems(self, name: str, signature: Signature, problems: Sequence[str]) -> None:
        """Only beside the file that they are about: one that was rewritten meanwhile may be all right."""
        if self.folder.look(name) != signature:
            return
        self.folder.write_beside(name, ERROR_SUFFIX, ("\n".join(problems) + "\n").encode("utf-8", "replace"))
        if self.folder.look(name) != signature:
            self.folder.remove_beside(name, ERROR_SUFFIX)

    def _is_new(self, name: str, signature: Signature, problems: Sequence[str]) -> bool:
        told = self._refused.get(name)
        self._refused[name] = (signature, problems)
        return told != (signature, problems)


def submission_key(content: bytes, name: str, mtime_ns: int, *, reruns: bool) -> str:
    """The key under which a file is submitted. Of one that is too large it does not matter."""
    return key_of(content[: MAX_BYTES + 1], Writing(name=name, mtime_ns=mtime_ns) if reruns else None)
