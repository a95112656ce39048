"""One script as a process in a session of its own, watched until it and everything it started is gone.

Each process that a script starts inherits the writing end of a pipe, the lifeline. While its other end does not hang up,
somebody is still alive: that costs nothing to know, finds processes that left the group or redirected their output, and
only a process that closes all it inherited escapes. Everything happens in the calling thread.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torkd.runtime.identity import Identity
from torkd.runtime.protocol import LogSink
from torkd.runtime.survivors import signal_holders_of

NO_SCRIPT_IS_OPEN = threading.Lock()
"""Held while a script is written and while a process is started. A process that starts while a script is open for writing
has it open too for a moment, and running a file that somebody has open for writing fails: "text file busy"."""
READ_SIZE = 64 * 1024
TAIL_SIZE = 16 * 1024
"""How much of the end of the output is kept for the failure's text."""
CUT_SIZE = 1024
"""What goes from a tail that is one endless line: more than any secret."""
TICK_SECONDS = 1.0
"""How often `on_tick` is called, the first time after this time: short scripts pay nothing for it."""
_LAST_WORDS_SECONDS = 2.0
"""How long killed processes may take to disappear."""
_MAX_LAST_READS = 32
"""More than a pipe holds: whoever escaped and goes on printing must not hold up the end."""
_SEARCH_AFTER_SECONDS = 0.05
_WITHOUT_PIDFD_SECONDS = 0.02


@dataclass(frozen=True)
class Exit:
    """How a process ended."""

    code: int
    """Negative for a signal."""
    tail: bytes
    """The end of what it printed."""
    was_stopped: bool
    """Whether it was ended by us, because of the stop signal or the time limit."""
    timed_out: bool


class TaskProcess:
    """Starts at once. `supervise` must be called, and leaves nothing."""

    def __init__(self, command: Sequence[str], *, directory: Path, env: Mapping[str, str], identity: Identity) -> None:
        self._output, output_writer = os.pipe()
        self._lifeline, lifeline_writer = os.pipe()
        try:
            self._process = _start(command, directory, env, output_writer, lifeline_writer, identity)
        except BaseException:
            os.close(self._output)
            os.close(self._lifeline)
            raise
        finally:
            os.close(output_writer)
            os.close(lifeline_writer)
        self._tail = b""

    def supervise(
        self,
        sink: LogSink,
        *,
        wake_fd: int,
        grace_seconds: float,
        time_limit: float | None,
        on_tick: Callable[[], None],
    ) -> Exit:
        """Pass on what it prints until it ends. It is ended when `wake_fd` becomes readable or the time limit is over."""
        pid_fd = _open_pid_fd(self._process.pid)
        try:
            fds = _Descriptors(self._output, self._lifeline, wake_fd, pid_fd)
            watch = _Watch(self._process.pid, fds, grace_seconds, time_limit, on_tick)
            while not watch.is_over(self._has_exited):
                self._pass_on(watch, watch.wait(), sink)
            self._clean_up(watch, sink)
        except BaseException:
            self._kill_group()
            signal_holders_of(self._lifeline, signal.SIGKILL)
            raise
        finally:
            code = self._process.wait()
            for fd in (self._output, self._lifeline, *([] if pid_fd is None else [pid_fd])):
                os.close(fd)
        return Exit(code, self._tail, watch.kill_at is not None, watch.timed_out)

    def _pass_on(self, watch: _Watch, readable: bool, sink: LogSink) -> None:
        if not readable:
            return
        data = os.read(self._output, READ_SIZE)
        if not data:
            watch.output_has_ended()
            return
        self._tail += data
        if len(self._tail) > TAIL_SIZE:
            # At a line's end where there is one: half a secret at the cut could not be recognised and hidden.
            kept = self._tail[-TAIL_SIZE:]
            self._tail = kept[kept.find(b"\n") + 1 or CUT_SIZE :]
        sink.write(data)

    def _clean_up(self, watch: _Watch, sink: LogSink) -> None:
        """The script has ended: whatever it left behind is killed, and what is still in the pipe is read."""
        self._kill_group()
        started = time.monotonic()
        while watch.anyone_left() and time.monotonic() - started < _LAST_WORDS_SECONDS:
            self._pass_on(watch, watch.wait_for_last_words(_SEARCH_AFTER_SECONDS), sink)
            if time.monotonic() - started > _SEARCH_AFTER_SECONDS:
                signal_holders_of(self._lifeline, signal.SIGKILL)
        os.set_blocking(self._output, False)
        for _ in range(_MAX_LAST_READS):
            if watch.has_output_ended:
                return
            try:
                self._pass_on(watch, True, sink)
            except BlockingIOError:
                return

    def _has_exited(self) -> bool:
        """Without reaping it, where the system can: while it is a zombie nobody else can get its group's number."""
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _kill_group(self) -> None:
        """The script is not reaped yet, so the number is still its group's."""
        _signal_group(self._process.pid, signal.SIGKILL)


def _start(
    command: Sequence[str], directory: Path, env: Mapping[str, str], output: int, lifeline: int, identity: Identity
) -> subprocess.Popen[bytes]:
    with NO_SCRIPT_IS_OPEN:
        return subprocess.Popen(
            command,
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,  # one pipe: what a script prints stays in the order of printing
            start_new_session=True,
            pass_fds=(lifeline,),
            # These make Popen drop groups, set gid, then uid. Without them it can use vfork, which is faster.
            user=identity.uid,
            group=identity.gid,
            extra_groups=[] if identity.is_switch else None,
        )


@dataclass(frozen=True)
class _Descriptors:
    """What is polled: the output, the lifeline, the wish to stop, the end of the script."""

    output: int
    lifeline: int
    wake: int
    pid: int | None


class _Watch:
    """What a process is watched for: output, exit, the wish to stop it, time limit, grace, ticks."""

    def __init__(
        self,
        pid: int,
        fds: _Descriptors,
        grace_seconds: float,
        time_limit: float | None,
        on_tick: Callable[[], None],
    ) -> None:
        now = time.monotonic()
        self._pid, self._fds = pid, fds
        self._grace_seconds, self._on_tick = grace_seconds, on_tick
        self._limit_at = None if time_limit is None else now + time_limit
        self._tick_at = now + TICK_SECONDS
        self.kill_at: float | None = None
        """When KILL follows; set once TERM was sent."""
        self._was_killed = False
        self.timed_out = False
        self.has_output_ended = False
        self._leader_gone = False
        self._all_gone = False
        self._poll: select.poll | None = None

    def wait(self) -> bool:
        """Wait for something to happen and deal with it. Whether there is output to read."""
        poll = self._poll or self._open_poll()
        events = dict(poll.poll(self._milliseconds()))
        if self._fds.pid in events:
            self._leader_gone = True
            poll.unregister(self._fds.pid)
        if self._fds.lifeline in events:
            self._all_gone = True
            poll.unregister(self._fds.lifeline)
        if self._fds.wake in events:
            poll.unregister(self._fds.wake)
            self._terminate()
        self._look_at_the_clock()
        return self._fds.output in events

    def is_over(self, has_exited: Callable[[], bool]) -> bool:
        """Whether the script has ended; one that we stop has its grace for everything it started."""
        if not self._leader_gone and self._fds.pid is None:
            self._leader_gone = has_exited()
        return self._leader_gone and (self.kill_at is None or self._was_killed or self._all_gone)

    def anyone_left(self) -> bool:
        """Whether something the script started still lives."""
        return not self._all_gone

    def wait_for_last_words(self, seconds: float) -> bool:
        """Whether there is output to read; waits for that or for the end of everyone."""
        poll = select.poll()
        poll.register(self._fds.lifeline, 0)
        if not self.has_output_ended:
            poll.register(self._fds.output, select.POLLIN)
        events = dict(poll.poll(seconds * 1000))
        self._all_gone = self._fds.lifeline in events
        return self._fds.output in events

    def output_has_ended(self) -> None:
        """Nobody can print any more."""
        self.has_output_ended = True
        if self._poll is not None:
            self._poll.unregister(self._fds.output)

    def _open_poll(self) -> select.poll:
        self._poll = poll = select.poll()
        poll.register(self._fds.output, select.POLLIN)
        poll.register(self._fds.lifeline, 0)  # hanging up is always told
        poll.register(self._fds.wake, select.POLLIN)
        if self._fds.pid is not None:
            poll.register(self._fds.pid, select.POLLIN)
        return poll

    def _milliseconds(self) -> float:
        due = [self._tick_at]
        if self.kill_at is None and self._limit_at is not None:
            due.append(self._limit_at)
        if self.kill_at is not None and not self._was_killed:
            due.append(self.kill_at)
        seconds = max(min(due) - time.monotonic(), 0.0)
        if self._fds.pid is None:
            seconds = min(seconds, _WITHOUT_PIDFD_SECONDS)
        return seconds * 1000 + 1

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        if now >= self._tick_at:
            self._tick_at = now + TICK_SECONDS
            self._on_tick()
        if self._limit_at is not None and now >= self._limit_at and self.kill_at is None and not self._leader_gone:
            self.timed_out = True
            self._terminate()
        if self.kill_at is not None and now >= self.kill_at and not self._was_killed:
            self._was_killed = True
            _signal_group(self._pid, signal.SIGKILL)

    def _terminate(self) -> None:
        if self.kill_at is None and not self._leader_gone:
            self.kill_at = time.monotonic() + self._grace_seconds
            _signal_group(self._pid, signal.SIGTERM)
            _signal_group(self._pid, signal.SIGCONT)  # a stopped process could not even end
            signal_holders_of(self._fds.lifeline, signal.SIGTERM, outside_group=self._pid)  # timeout(1) makes a group


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # nobody left; macOS says so with EPERM when only a zombie is


def _open_pid_fd(pid: int) -> int | None:
    """None where the system has no such thing; the exit is then asked for from time to time."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
