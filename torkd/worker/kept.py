"""The runs that may outlive this worker: what a successor has to know of each, in a directory of its own.

`<runs directory>/<run id>/` holds the run's record, its log and at last its outcome; all else in it is the runtime's. Invariants:
the record is there before anything of the run is; a run with an outcome is never executed again; the directory goes only when
nobody needs it any more: the report is acknowledged, or nobody waits for one. Record and outcome hold what messages hold, and are
sealed like them; the log is masked before.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from datetime import datetime
from pathlib import Path

import msgspec

from tork.errors import RuntimeFailure
from tork.wire import StoredDecoder
from torkd.broker.messages import RunEnded, RunTask
from torkd.runtime.work_area import remove_tree
from torkd.sealing import Damaged, KeyMissing, SealedBodies
from torkd.worker.spool import Spool

RECORD, LOG, OUTCOME = "torkd-run.json", "torkd-log.jsonl", "torkd-outcome.json"

_LOG = logging.getLogger(__name__)


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was begun. Unknown fields are ignored: the successor may be of another version."""

    run_id: str
    started_at: datetime
    message: RunTask


_decode_record = StoredDecoder(RunRecord).decode


class KeptRun:
    """The directory of one run."""

    def __init__(
        self,
        path: Path,
        record: RunRecord,
        outcome: RunEnded | None = None,
        *,
        is_lasting: bool = True,
        seal: SealedBodies | None = None,
    ) -> None:
        self.path = path
        self.record = record
        self.outcome = outcome
        """How the run ended, when a predecessor knew that already."""
        self.is_lasting = is_lasting
        """Whether a successor can take the run up."""
        self._seal = seal or SealedBodies()

    @property
    def log_path(self) -> Path:
        """Where its log is kept."""
        return self.path / LOG

    def open_log(self) -> Spool:
        """To add to its log. Raises `OSError`."""
        return Spool(self.log_path)

    def settle(self, outcome: RunEnded) -> None:
        """The run is over, like this; from now on it is only reported."""
        if not self.is_lasting:
            return
        self.outcome = outcome
        try:
            _write(self.path / OUTCOME, outcome, self._seal)
        except OSError as error:
            _LOG.warning("how a run ended can't be kept: %s", error.strerror, extra={"run_id": self.record.run_id})
            self.give_up()

    def give_up(self) -> None:
        """It will not outlive this worker after all."""
        self.is_lasting = False
        try:
            (self.path / RECORD).unlink(missing_ok=True)
        except OSError as error:
            _LOG.warning("%s can't be removed: %s", self.path / RECORD, error.strerror)

    def remove(self) -> None:
        """Nobody needs it any more."""
        self.is_lasting = False
        remove_tree(self.path)

    def clear(self) -> None:
        """The run is over: remove what the runtime has left here. The rest stays until the report is dealt with."""
        try:
            for entry in os.scandir(self.path):
                if entry.name in {RECORD, LOG, OUTCOME}:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(Path(entry.path))
                else:
                    Path(entry.path).unlink(missing_ok=True)
        except OSError as error:
            _LOG.debug("%s can't be cleared: %s", self.path, error)


class KeptRuns:
    """All of this worker's. Without a directory for them none outlives it, and all of this costs nothing."""

    def __init__(self, directory: Path | None, seal: SealedBodies) -> None:
        self._directory, self._seal = directory, seal
        self._lock = threading.Lock()
        self._runs: dict[str, KeptRun] = {}

    def keep(self, run_id: str, started_at: datetime, message: RunTask) -> KeptRun:
        """Make the directory and the record of a run. Raises `RuntimeFailure`."""
        record = RunRecord(run_id=run_id, started_at=started_at, message=message)
        if self._directory is None:
            try:
                return KeptRun(Path(tempfile.mkdtemp(prefix="torkd-run-")), record, is_lasting=False)
            except OSError as error:
                raise RuntimeFailure(f"no directory can be made for the run: {error.strerror}") from error
        kept = KeptRun(self._directory / run_id, record, seal=self._seal)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept.path.mkdir(mode=0o700)
            _write(kept.path / RECORD, record, self._seal)
        except OSError as error:
            remove_tree(kept.path)
            raise RuntimeFailure(
                f"no directory can be made for the run in {self._directory}: {error.strerror} "
                "(right would be a directory that torkd may write to)"
            ) from error
        with self._lock:
            self._runs[run_id] = kept
        return kept

    def load(self) -> list[KeptRun]:
        """Those of the predecessors. What can't be read is removed, and so can't be resumed; what lacks a key stays."""
        if self._directory is None:
            return []
        try:
            entries = sorted(os.scandir(self._directory), key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            _LOG.warning("the runs of before can't be read: %s", error)
            return []
        found: list[KeptRun] = []
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                continue
            try:
                found.append(_load(Path(entry.path), self._seal))
            except KeyMissing as error:
                _LOG.error("the run in %s is left to a successor that can open it: it is %s", entry.path, error)
            except (OSError, Damaged, msgspec.MsgspecError, UnicodeDecodeError) as error:
                _LOG.warning("the run in %s can't be taken up: %s", entry.path, error)
                remove_tree(Path(entry.path))
        with self._lock:
            self._runs.update((kept.record.run_id, kept) for kept in found)
        return found

    def remove(self, run_id: str) -> None:
        """The run is over and dealt with; one that was not kept is ignored."""
        kept = self.forget(run_id)
        if kept is not None:
            kept.remove()

    def forget(self, run_id: str) -> KeptRun | None:
        """Somebody else removes it."""
        if not self._runs:
            return None
        with self._lock:
            return self._runs.pop(run_id, None)


def _load(path: Path, seal: SealedBodies) -> KeptRun:
    record = _decode_record(_read(path / RECORD, seal))
    if record.run_id != path.name:
        raise FileNotFoundError(f"it holds the run {record.run_id}")
    outcome = path / OUTCOME
    ended = msgspec.json.decode(_read(outcome, seal), type=RunEnded) if outcome.exists() else None
    return KeptRun(path, record, ended, seal=seal)


def _read(path: Path, seal: SealedBodies) -> bytes:
    """What is in it. From then on it is sealed with the key of now: who starts with that needs no older one for it."""
    stored = path.read_bytes()
    data = seal.open(stored)
    if not seal.is_as_wanted(stored):
        try:
            _write_bytes(path, seal.seal(data))
        except OSError as error:
            _LOG.warning("%s can't be sealed anew, and needs the key of before: %s", path, error.strerror)
    return data


def _write(path: Path, value: RunRecord | RunEnded, seal: SealedBodies) -> None:
    _write_bytes(path, seal.seal(msgspec.json.encode(value)))


def _write_bytes(path: Path, content: bytes) -> None:
    """All of it or nothing, whenever the process is killed."""
    new = path.with_name(f"{path.name}.new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        data = memoryview(content)
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)
    new.rename(path)
