"""The watch over a folder: looks, waits until files have stopped changing, has them handled, and lives through outages.

Invariants: the folder is the truth and a ring only a hint; one thread touches the folder; a stop ends it between two files.
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from pathlib import Path

from tork.errors import TorkError, Unavailable
from torkctl import diagnostics
from torkctl.client import Api
from torkctl.client.api import JobQuery
from torkctl.diagnostics import ExitCode, worst
from torkctl.endings import code_of
from torkctl.errors import NoAnswer, UsageProblem
from torkctl.inbox.after import After
from torkctl.inbox.awaiting import Awaiting
from torkctl.inbox.claims import Claims
from torkctl.inbox.doorbell import Changed, Doorbell, tells_of_changes
from torkctl.inbox.folder import Folder, content_at, identity_of, reason
from torkctl.inbox.handling import Away, Claimed, Done, Gone, Handler, Held, Step, Stuck, Written, submission_key
from torkctl.inbox.happenings import Happening, Kind, Tell
from torkctl.inbox.ledger import Ledger
from torkctl.inbox.names import Selection, shown
from torkctl.inbox.outage import Outage
from torkctl.inbox.results import Ended, Lost, Results, Silent
from torkctl.inbox.taking import Taking
from torkctl.inbox.tracker import Signature, Tracker

_LOOK_SECONDS = 2.0
"""Between two looks where the system does not tell of changes, or the folder is away."""
_CHECK_SECONDS = 15.0
"""Between two looks where it does, for what it did not tell of."""
_SETTLE_SECONDS, _REMOTE_SETTLE_SECONDS = 1.0, 5.0
"""Network file systems tell of changes on other machines up to three seconds late."""
_CLAIMED_SECONDS, _LONGEST_CLAIM_SECONDS = 0.5, 90.0
_GRACE_SECONDS = 0.5
"""How long to leave it to a file to find out whether the server is back."""
_SHORTEST_PAUSE_SECONDS = 0.2
_TELL_WRITTEN_SECONDS = 30.0
_UPKEEP_SECONDS = 60.0
_PRUNE_SECONDS = 86400.0
_FIRST_PRUNE_SECONDS = 3600.0
"""By then every file has been looked at, and what is remembered of those that are still there is as good as new."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is wanted."""

    folder: str
    selection: Selection
    after: After = After.KEEP
    waits: bool = False
    once: bool = False
    existing: bool = True
    reruns: bool = False
    settle_seconds: float | None = None
    give_up_seconds: float | None = None
    """How long the server may stay away; None for ever."""


@dataclass(frozen=True)
class Stop:
    """Somebody wants the end; `code` is how that is called."""

    code: ExitCode


Message = Changed | Ended | Silent | Lost | Stop
Inbox = queue.SimpleQueue[Message]
"""A SimpleQueue, because signal handlers put a `Stop` into it, in the middle of anything."""


class Watcher:
    """One watch. `inbox` is where a signal handler puts a `Stop`."""

    def __init__(self, order: Order, api: Api, tell: Tell, inbox: Inbox) -> None:
        self._order = order
        self._api = api
        self._tell = tell
        self._inbox = inbox
        self._codes: set[ExitCode] = set()
        self._is_remote = not tells_of_changes(order.folder)
        settle = _REMOTE_SETTLE_SECONDS if self._is_remote else _SETTLE_SECONDS
        self._tracker = Tracker(settle_seconds=settle if order.settle_seconds is None else order.settle_seconds)
        self._outage = Outage(give_up_seconds=order.give_up_seconds)
        self._folder = Folder(order.folder, order.selection)
        self._claims = Claims(order.folder)
        self._ledger = Ledger(order.folder, api.transport.endpoint, diagnostics.warning)
        self._taking = Taking(order.folder, order.after, self._claims, self._key_at)
        self._results = Results(api, inbox.put)
        self._awaiting = self._new_awaiting() if order.waits else None
        self._handler = Handler(
            folder=self._folder,
            ledger=self._ledger,
            claims=self._claims,
            awaiting=self._awaiting,
            api=api,
            may_send=lambda: not self._outage.is_on(time.monotonic()),
            reached=self._reached,
            tell=tell,
            reruns=order.reruns,
            taking=self._taking,
        )
        self._doorbell = Doorbell(order.folder, order.selection, inbox.put, diagnostics.warning)
        self._identity = identity_of(self._order.folder)
        self._is_away = False
        self._look_at = self._upkeep_at = 0.0
        self._prune_at = time.monotonic() + _FIRST_PRUNE_SECONDS

    def run(self) -> ExitCode:
        """Watch until told to stop; with `once`, until what is there has been submitted. The exit code."""
        try:
            if not self._order.once and not self._is_remote:
                self._doorbell.start()
            self._begin()
            self._greet()
            while True:
                stop = self._next_messages()
                if stop:
                    return stop.code
                now = time.monotonic()
                self._keep_up(now)
                self._handle_due(now)
                if self._outage.wants_a_try(time.monotonic() - _GRACE_SECONDS):
                    self._greet()  # no file did
                if self._outage.is_hopeless(now):
                    return self._give_up()
                if self._order.once and self._is_finished():
                    return self._finish()
        finally:
            self._doorbell.close()
            self._results.close()
            self._claims.close()

    def _new_awaiting(self) -> Awaiting:
        return Awaiting(
            folder=self._folder, ledger=self._ledger, claims=self._claims, results=self._results, tell=self._tell
        )

    def _greet(self) -> None:
        """Ask something harmless, so that wrong credentials are told now and not with the first file. Raises `Denied`."""
        try:
            self._api.jobs(JobQuery(), size=1)
        except Unavailable as error:
            self._lost(NoAnswer(str(error)))
        else:
            self._reached()

    def _begin(self) -> None:
        """The first look."""
        try:
            found = self._folder.scan()
        except OSError as error:
            raise UsageProblem(f"{self._order.folder} can't be looked into: {reason(error)}") from error
        now = time.monotonic()
        if self._order.existing:
            self._tracker.scanned(found, now)
        else:
            for name, signature in found.items():
                self._tracker.done(name, signature)
        self._tracker.takes_new = not self._order.once
        if not self._order.once:
            diagnostics.notice(f"watching {self._order.folder} for {self._api.transport.endpoint}")
        self._look_at = now + self._look_seconds()

    # what comes in

    def _next_messages(self) -> Stop | None:
        """Wait for the next thing to do, and take in all that was told meanwhile."""
        seconds = max(0.0, self._wake_at() - time.monotonic())
        try:
            message = self._inbox.get(timeout=seconds)
            while True:
                if isinstance(message, Stop):
                    return message
                self._learn(message)
                message = self._inbox.get_nowait()
        except queue.Empty:
            return None

    def _wake_at(self) -> float:
        times = [self._look_at]
        if not self._is_away:
            times.append(self._upkeep_at)
        if (due_at := self._tracker.next_due_at()) is not None:
            times.append(due_at)
        if self._outage.is_ongoing():
            times.append(self._outage.retry_at + _GRACE_SECONDS)
        return min(times)

    def _learn(self, message: Changed | Ended | Silent | Lost) -> None:
        match message:
            case Changed(names=names, everything=everything):
                for name in names:
                    self._look(name)
                if everything:
                    self._look_at = 0.0
            case Ended(job=job):
                self._reached()
                self._codes.add(ExitCode.NOT_FOUND if job is None else code_of(job.state))
                if self._awaiting:
                    self._awaiting.ended(message)
            case Silent(error=error):
                if not self._outage.is_ongoing():
                    self._lost(NoAnswer(str(error)))
            case Lost(error=error):
                raise error

    def _look(self, name: str) -> None:
        signature = self._folder.look(name)
        if signature is None:
            self._tracker.gone(name)
        else:
            self._tracker.saw(name, signature, time.monotonic())

    # what is done regularly

    def _keep_up(self, now: float) -> None:
        if now >= self._look_at:
            self._look_at_all(now)
        if now >= self._upkeep_at and not self._is_away:
            self._upkeep_at = now + _UPKEEP_SECONDS
            self._clear_up(now)

    def _look_at_all(self, now: float) -> None:
        if self._order.once:
            for name in self._tracker.pending_names():
                self._look(name)
            self._look_at = now + min(max(self._tracker.settle_seconds, _SHORTEST_PAUSE_SECONDS), _LOOK_SECONDS)
            return
        try:
            found = self._folder.scan()
        except OSError as error:
            self._folder_is_away(error)
        else:
            self._folder_is_there()
            self._tracker.scanned(found, now)
        self._look_at = time.monotonic() + max(self._look_seconds(), 10 * (time.monotonic() - now))

    def _look_seconds(self) -> float:
        if self._order.once:
            return 0.0
        return _CHECK_SECONDS if self._doorbell.works and not self._is_away else _LOOK_SECONDS

    def _folder_is_away(self, error: OSError) -> None:
        if not self._is_away:
            self._is_away = True
            message = f"for the folder: {self._order.folder} can't be looked into ({reason(error)})"
            self._tell(Happening(kind=Kind.WAITING, message=message))

    def _folder_is_there(self) -> None:
        identity = identity_of(self._order.folder)
        if identity != self._identity:
            self._identity = identity
            self._claims.close()
        if self._is_away:
            self._is_away = False
            self._tell(Happening(kind=Kind.BACK, message="the folder is there again"))

    def _clear_up(self, now: float) -> None:
        """What killed watchers left, what could not be written, and what is too old."""
        for error in self._taking.recover():
            diagnostics.detail(f"a file that was taken can't be put away: {reason(error)} ({error.filename})")
        self._folder.remove_leftovers()
        if self._awaiting:
            self._awaiting.try_again()
            self._awaiting.adopt()
        if now >= self._prune_at:
            self._prune_at = now + _PRUNE_SECONDS
            self._ledger.prune(self._tracker.keys())

    # what is done about files

    def _handle_due(self, now: float) -> None:
        for name in self._tracker.due(now):
            signature = self._tracker.signature_of(name)
            if signature is None:
                continue
            self._take_step(name, signature, self._handled(name, signature))
            if not self._inbox.empty():
                return

    def _handled(self, name: str, signature: Signature) -> Step:
        try:
            return self._handler.handle(name, signature)
        except (TorkError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - one file that nobody foresaw must not keep the others from being submitted
            diagnostics.warning(f"{shown(name)}: unforeseen {type(error).__name__}: {error} (please report it)")
            if diagnostics.is_verbose():
                import traceback

                diagnostics.block("".join(traceback.format_exception(error)).rstrip())
            return Stuck(code=ExitCode.UNKNOWN)

    def _take_step(self, name: str, signature: Signature, step: Step) -> None:
        now = time.monotonic()
        match step:
            case Done(key=key, code=code):
                self._tracker.done(name, signature, key)
                self._codes.add(code)
            case Gone():
                self._tracker.gone(name)
            case Written():
                self._wait_for_writer(name, now)
            case Claimed():
                self._tracker.later(name, now + _CLAIMED_SECONDS)
                if self._tracker.pending_for(name, now) > _LONGEST_CLAIM_SECONDS:
                    self._handler.overrule(name)
            case Held():
                self._tracker.later(name, self._outage.retry_at)
            case Stuck(code=code):
                self._codes.add(code)
                if self._order.once:
                    self._tracker.done(name, signature)
                else:
                    self._tracker.failed(name, now)
            case Away(error=error):
                if self._lost(error, name):
                    self._tracker.failed(name, now)  # by itself: others may be taken, and this one never
                else:
                    self._tracker.later(name, self._outage.retry_at)

    def _wait_for_writer(self, name: str, now: float) -> None:
        pause = max(self._tracker.settle_seconds, _SHORTEST_PAUSE_SECONDS)
        self._tracker.later(name, now + pause)
        self._look(name)
        if 0 <= self._tracker.pending_for(name, now) - _TELL_WRITTEN_SECONDS < pause:
            diagnostics.notice(f"{shown(name)} is still being written: it is submitted when that is over")

    def _key_at(self, path: Path, name: str) -> str:
        content, mtime_ns = content_at(path)
        return submission_key(content, name, mtime_ns, reruns=self._order.reruns)

    # the server

    def _lost(self, error: NoAnswer, name: str = "") -> bool:
        """Whether the server was there until now."""
        begins = self._outage.failed(time.monotonic(), error.retry_after)
        if begins:
            self._tell(Happening(kind=Kind.WAITING, file=name, message=f"for the server: {error}"))
        return begins

    def _reached(self) -> None:
        if self._outage.answered():
            self._tell(Happening(kind=Kind.BACK, message="the server answers again"))

    def _give_up(self) -> ExitCode:
        count = len(self._tracker.pending_names())
        left = f"{count} {'file waits' if count == 1 else 'files wait'} for the next start"
        diagnostics.error(f"the server stayed away: {left if count else 'what became of the jobs is unknown'}")
        return ExitCode.UNKNOWN

    def _is_finished(self) -> bool:
        return not self._tracker.pending_names() and (self._awaiting is None or self._awaiting.is_over())

    def _finish(self) -> ExitCode:
        self._ledger.prune(self._tracker.keys())
        if self._awaiting and self._awaiting.has_unwritten():
            self._codes.add(ExitCode.FAILED)
        return worst(self._codes)


def new_inbox() -> Inbox:
    """An empty one."""
    return queue.SimpleQueue()
