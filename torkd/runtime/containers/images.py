"""Sees to it that a task's image is on the engine, and that the task may use it.

Whatever is done about an image (looking for it, pulling it, removing it) is done by one thread at a time, which has the
image's *slot*; other images never wait for it. An image that was seen here once costs no call of the engine any more.

An image that somebody's credentials brought here is not for everybody: whoever has not shown to be allowed to have it pulls it
again with what he has, which is quick when nothing changed. Images that torkd did not pull are for all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from tork.errors import RuntimeFailure
from torkd.runtime.containers.engine import Credentials, Engine, EngineError, EngineUnavailable, ResourceBusy
from torkd.runtime.containers.image_ledger import PUBLIC, ImageLedger, LedgerEntry
from torkd.runtime.containers.pull_progress import PullProgress
from torkd.runtime.containers.pull_reading import read_pull
from torkd.runtime.containers.reference import parse_reference
from torkd.runtime.protocol import LogSink
from torkd.runtime.stopping import StopSignal

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Asks for a try of the image after a pull: a container is made of it, and removed."""

    name: str
    """The container's: the run's own, so that it is found if we are killed."""
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PullStatus:
    """A pull that is under way."""

    image: str
    percent: float


@dataclass
class _Slot:
    progress: PullProgress | None = None
    """Of the pull, once it is one."""


@dataclass(kw_only=True)
class _Wish:
    """What a task wants."""

    image: str
    key: str
    ask_credentials: Callable[[], Credentials | None]
    log: LogSink
    stop: StopSignal
    verification: Verification | None
    told_to_wait: bool = False
    wakes: bool = False
    """Whether the stop signal wakes whoever waits."""

    @cached_property
    def credentials(self) -> Credentials | None:
        """Asked for once, and only when they matter: a credential helper is a process."""
        try:
            return self.ask_credentials()
        except RuntimeFailure as error:
            raise RuntimeFailure(f"error pulling image: {self.image}: {error}") from error

    def tell(self, line: str) -> None:
        """Print a line in the task's log."""
        stream = self.log.stream()
        stream.write(f"{line}\n".encode())
        stream.close()

    def check_stop(self) -> None:
        """Raise when the run must end."""
        if self.stop.is_set():
            raise self.stop.error()


def canonical_name(image: str) -> str:
    """The same for all names of an image. Raises `RuntimeFailure` for what is no name."""
    return parse_reference(image).canonical


def engine_name(image: str) -> str:
    """How to name an image to an engine: with its tag, or its digest alone.

    Without a tag Docker would also take the beginning of any image's id for a name, and so give away what is not for everybody.
    """
    name, at, digest = image.partition("@")
    path, colon, tag = name.rpartition(":")
    is_tagged = bool(colon) and "/" not in tag
    if at:
        return f"{path if is_tagged else name}@{digest}"
    return name if is_tagged else f"{name}:latest"


@dataclass
class ImageStore:
    """The images of one engine. May be used by any thread."""

    engine: Engine
    ledger: ImageLedger
    canonical: Callable[[str], str] = canonical_name
    clock: Callable[[], float] = time.monotonic
    _changed: threading.Condition = field(default_factory=threading.Condition, init=False)
    _slots: dict[str, _Slot] = field(default_factory=dict, init=False)
    _present: set[str] = field(default_factory=set, init=False)
    """Images that were seen here."""
    _uses: Counter[str] = field(default_factory=Counter, init=False)

    def ensure(
        self,
        image: str,
        credentials: Callable[[], Credentials | None],
        log: LogSink,
        stop: StopSignal,
        *,
        verification: Verification | None = None,
    ) -> None:
        """Return when the image is here and may be used. Raises `RuntimeFailure`, or `stop.error()` when the run must end.

        Lines about a pull go to streams of `log` that are opened, and closed, when there is something to say.
        """
        wish = _Wish(
            image=image,
            key=self.canonical(image),
            ask_credentials=credentials,
            log=log,
            stop=stop,
            verification=verification,
        )
        while not (wish.key in self._present and self._is_allowed(wish)):
            if self._got_slot(wish):
                try:
                    self._fetch(wish)
                finally:
                    self._free_slot(wish.key)
                break
        self.ledger.touch(wish.key)

    def forget(self, image: str) -> bool:
        """The engine says that it is not here: look again next time. False when it was not believed to be here anyway."""
        key = self.canonical(image)
        with self._changed:
            was_believed = key in self._present
            self._present.discard(key)
        return was_believed

    @contextmanager
    def use(self, image: str) -> Iterator[None]:
        """While inside, the image is not removed. Begin before `ensure`, or it may go in between."""
        key = self.canonical(image)
        with self._changed:
            self._uses[key] += 1
        self.ledger.touch(key)
        try:
            yield
        finally:
            self.ledger.touch(key)
            with self._changed:
                self._uses[key] -= 1
                if not self._uses[key]:
                    del self._uses[key]

    def pulls(self) -> list[PullStatus]:
        """The pulls under way."""
        with self._changed:
            slots = list(self._slots.items())
        return [
            PullStatus(image=key, percent=slot.progress.percent) for key, slot in slots if slot.progress is not None
        ]

    def note_uses(self) -> None:
        """Tell the ledger which images are in use, so that another process that shares it keeps them."""
        with self._changed:
            keys = list(self._uses)
        for key in keys:
            self.ledger.touch(key)
        self.ledger.save()

    def remove(self, entry: LedgerEntry) -> bool:
        """Remove an image that torkd pulled, unless it is in use or is no longer what torkd pulled. Raises `EngineError`."""
        if not self._got_unused(entry):
            return False
        name = engine_name(entry.name)
        try:
            is_ours = bool(entry.image_id) and self.engine.image_id(name) == entry.image_id
            if is_ours:
                self.engine.remove_image(name)
            self.ledger.drop(entry.key)
        except ResourceBusy:  # a container of somebody else has it
            return False
        finally:
            self._free_slot(entry.key)
        return is_ours

    def _is_allowed(self, wish: _Wish) -> bool:
        """Whether the task may use the image as it is here."""
        entries = self._entries_about(wish.key)
        if not entries or any(entry.allows(PUBLIC) for entry in entries):
            return True
        if not any(entry.proofs for entry in entries):
            return False
        proof = self.ledger.proof(wish.credentials)
        return any(entry.allows(proof) for entry in entries)

    def _entries_about(self, key: str) -> list[LedgerEntry]:
        """A digest names whatever a tag of the same repository brought here, so they are all asked."""
        if (entry := self.ledger.entry(key)) is not None:
            return [entry]
        repository, at, _ = key.partition("@")
        if not at:
            return []
        return [entry for entry in self.ledger.entries() if entry.key.startswith((f"{repository}:", f"{repository}@"))]

    def _got_slot(self, wish: _Wish) -> bool:
        """Take the image's slot. False when somebody else had it: it is free now, or there was news of it to tell."""
        with self._changed:
            slot = self._slots.get(wish.key)
            if slot is None:
                self._slots[wish.key] = _Slot()
                return True
        if not wish.wakes:
            wish.wakes = True
            wish.stop.on_set(self._wake)

        def has_news() -> bool:
            is_over = wish.stop.is_set() or self._slots.get(wish.key) is not slot
            return is_over or (slot.progress is not None and not wish.told_to_wait)

        with self._changed:
            self._changed.wait_for(has_news)
            must_tell = self._slots.get(wish.key) is slot and slot.progress is not None
        wish.check_stop()
        if must_tell:
            wish.told_to_wait = True
            wish.tell(f"Waiting for image {wish.image}, which another task pulls")
        return False

    def _got_unused(self, entry: LedgerEntry) -> bool:
        """Take the slot of an image that nobody uses or looks for, and that was not used since the entry was read."""
        with self._changed:
            if entry.key in self._slots or self._uses[entry.key]:
                return False
            current = self.ledger.entry(entry.key)
            if current is None or current.last_used > entry.last_used:
                return False
            self._slots[entry.key] = _Slot()
            self._present.discard(entry.key)
        return True

    def _free_slot(self, key: str) -> None:
        with self._changed:
            del self._slots[key]
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _fetch(self, wish: _Wish) -> None:
        wish.check_stop()
        is_here = wish.key in self._present or self.engine.has_image(engine_name(wish.image))
        if not (is_here and self._is_allowed(wish)):
            self._pull(wish)
        with self._changed:
            self._present.add(wish.key)

    def _pull(self, wish: _Wish) -> None:
        """Fetch it. Whatever goes wrong, an image that may have come is marked as one that nobody may use yet."""
        progress = PullProgress(wish.image, self.clock)
        proof = self.ledger.proof(wish.credentials)
        with self._changed:
            self._slots[wish.key].progress = progress
            self._changed.notify_all()
        wish.tell(f"Pulling image {wish.image}")
        self.ledger.begin(wish.key, wish.image)
        try:
            self._read(wish, progress)
            image_id = self.engine.image_id(engine_name(wish.image))
            if not image_id:
                raise EngineError(
                    f"error pulling image: {wish.image}: {self.engine.name} has pulled it, but has it not"
                )
            self._verify(wish)
        except BaseException:
            self._give_up(wish)
            raise
        self.ledger.pulled(wish.key, wish.image, image_id=image_id, proof=proof)
        wish.tell(progress.summary())

    def _read(self, wish: _Wish, progress: PullProgress) -> None:
        try:
            for event in read_pull(self.engine.pull_image(wish.image, wish.credentials), wish.stop):
                if line := progress.take(event):
                    wish.tell(line)
        except EngineError as error:
            wish.check_stop()
            kind = EngineUnavailable if isinstance(error, EngineUnavailable) else EngineError
            raise kind(f"error pulling image: {wish.image}: {error}") from error
        wish.check_stop()

    def _verify(self, wish: _Wish) -> None:
        if (verification := wish.verification) is None:
            return
        name, image = verification.name, engine_name(wish.image)
        try:
            self.engine.create_container(name, {"Image": image, "Cmd": ["true"], "Labels": dict(verification.labels)})
        except EngineUnavailable:
            raise
        except EngineError as error:
            self._attempt(lambda: self.engine.remove_container(name))
            self._attempt(lambda: self.engine.remove_image(image))
            raise EngineError(f"image {wish.image} is invalid or corrupted: {error}") from error
        self._attempt(lambda: self.engine.remove_container(name))

    def _give_up(self, wish: _Wish) -> None:
        """Not pulled: it is not ours, unless it came after all."""
        with self._changed:
            self._present.discard(wish.key)
        try:
            is_here = self.engine.has_image(engine_name(wish.image))
        except EngineError:
            return
        if not is_here:
            self.ledger.failed(wish.key)

    def _attempt(self, act: Callable[[], None]) -> None:
        """Clean up; what can't be removed now is found by its labels later."""
        try:
            act()
        except EngineError as error:
            _LOG.warning("%s: %s", self.engine.name, error)
