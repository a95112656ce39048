"""The process that owns the embedded PostgreSQL: starts it again when it dies, and stops it when its starter is gone.

A killed torkd can't stop its database, so somebody else must: the keeper waits on one end of a socket whose other end
only the starter holds. Whatever ends the starter closes that end, and the keeper then stops PostgreSQL and exits.

Invariants: while PostgreSQL runs, the keeper holds the lock of its directory; signals do not end the keeper, only the
closed socket does (a service manager signals every process at once, long before torkd is done with its database); it
runs as the same unprivileged user as PostgreSQL. It is started by its path, with `-I -S`, and so imports nothing but
a few modules of the standard library: it must be up within milliseconds and stay small.

Usage: keeper.py SOCKET_FD LOCK_FD UID GID HOME COMMAND...  (UID -1: stay who we are)
Says on the socket `ready KEEPER_PID`, or `failed REASON` and exits.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

LOG_NAME = "server.log"
LOG_BYTES = 8 << 20
"""The log is moved to `server.log.1` when it has grown past this, so both never take more than about twice as much."""
LOG_CHECK_SECONDS = 30.0
POLL_SECONDS = 0.005
"""How often postmaster.pid is read while the server starts; a start takes about ten of these."""
FAST_STOP_SECONDS = 30.0
QUICK_STOP_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.05
LONGEST_DELAY_SECONDS = 5.0
HEALTHY_SECONDS = 10.0
"""A server that was ready this long is restarted without delay when it dies."""
STILL_IN_USE = ("still in use", "Is another postmaster")
"""What PostgreSQL says while processes of a killed predecessor are on their way out: worth another try."""
STILL_IN_USE_ATTEMPTS = 8


def main(arguments: list[str]) -> None:
    link, lock, uid, gid = (int(number) for number in arguments[:4])
    home, command = arguments[4], arguments[5:]
    if os.fork():
        os._exit(0)  # the starter's wait ends here: it never has the keeper as a child to reap by mistake
    os.set_inheritable(link, False)
    os.set_inheritable(lock, False)
    drop_privileges(uid, gid)
    Keeper(link, home, command).run()


def drop_privileges(uid: int, gid: int) -> None:
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


class Keeper:
    """One PostgreSQL server and the socket that says whether anybody still wants it."""

    def __init__(self, link: int, home: str, command: list[str]) -> None:
        self._link = link
        self._command = command
        self._pid_file = f"{home}/data/postmaster.pid"
        self._log_path = f"{home}/{LOG_NAME}"
        self._log = os.open(self._log_path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        os.dup2(self._log, 2)
        self._announced = False
        self._closed = False
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)
        self._wake = self._wake_on_child_exit()

    def _wake_on_child_exit(self) -> int:
        """Make signals readable as bytes. Handlers, unlike ignored signals, are not handed down to PostgreSQL."""
        wake, writer = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, lambda *_: None)
        self._poll.register(wake, select.POLLIN)
        return wake

    def run(self) -> None:
        delay = FIRST_DELAY_SECONDS
        attempts_left = STILL_IN_USE_ATTEMPTS
        while self._is_wanted():
            log_start = self._trim_log()
            server = self._spawn()
            began = time.monotonic()
            if self._becomes_ready(server):
                self._announce(f"ready {os.getpid()}")
                self._wait_for_exit(server)
            elif not self._announced and self._is_wanted():
                reason = self._reason(log_start)
                attempts_left -= 1
                if not attempts_left or not any(text in reason for text in STILL_IN_USE):
                    self._announce(f"failed {reason}")
                    return
            if not self._is_wanted():
                stop(server)
                return
            delay = FIRST_DELAY_SECONDS if time.monotonic() - began > HEALTHY_SECONDS else delay
            self._note("PostgreSQL ended by itself and is started again")
            self._pause(delay)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    def _is_wanted(self) -> bool:
        return not self._closed

    def _spawn(self) -> int:
        server = os.fork()
        if server:
            return server
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(self._log, 1)
            os.dup2(self._log, 2)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.chdir("/")
            os.execv(self._command[0], self._command)  # noqa: S606 - no shell is wanted
        except OSError as error:
            os.write(2, f"FATAL:  {self._command[0]} can't be run: {error.strerror}\n".encode())
        finally:
            os._exit(1)

    def _becomes_ready(self, server: int) -> bool:
        while self._is_wanted() and not exited(server):
            if self._is_ready(server):
                return True
            self._wait(POLL_SECONDS)
        return False

    def _is_ready(self, server: int) -> bool:
        try:
            with open(self._pid_file, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib costs 8 ms
                lines = file.read().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(server) and lines[7].strip() == "ready"

    def _wait_for_exit(self, server: int) -> None:
        while self._is_wanted() and not exited(server):
            self._wait(LOG_CHECK_SECONDS)
            self._trim_log()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._is_wanted() and (left := until - time.monotonic()) > 0:
            self._wait(left)

    def _wait(self, seconds: float) -> None:
        """Until a signal came, the starter went or the time is over."""
        for descriptor, _ in self._poll.poll(max(1.0, seconds * 1000)):
            if descriptor == self._wake:
                os.read(self._wake, 512)
            elif not self._heard_from_starter():
                self._closed = True
                self._poll.unregister(self._link)

    def _heard_from_starter(self) -> bool:
        try:
            return bool(os.read(self._link, 512))
        except OSError:
            return False

    def _announce(self, line: str) -> None:
        """Only the first outcome is the starter's business; it reads nothing later."""
        if self._announced:
            return
        self._announced = True
        try:
            os.write(self._link, line.encode(errors="replace")[:4000] + b"\n")
        except OSError:
            self._closed = True

    def _note(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        try:
            os.write(self._log, f"{stamp} UTC [{os.getpid()}] keeper: {text}\n".encode())
        except OSError:
            return  # a full disk must not end the keeper

    def _trim_log(self) -> int:
        """Keep the log bounded and return its size. PostgreSQL has it open for appending, so it is emptied in place."""
        size = os.fstat(self._log).st_size
        if size <= LOG_BYTES:
            return size
        try:
            copy = os.open(f"{self._log_path}.1", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            os.write(copy, os.pread(self._log, LOG_BYTES, size - LOG_BYTES))
            os.close(copy)
        except OSError:
            pass  # on a full disk the old text is given up
        os.ftruncate(self._log, 0)
        return 0

    def _reason(self, log_start: int) -> str:
        """What the log says since `log_start` about a start that failed, as one line."""
        lines = os.pread(self._log, 64 << 10, log_start).decode(errors="replace").splitlines()
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        return (fatal or lines or ["it ended without a word"])[-1].strip()


def exited(server: int) -> bool:
    try:
        return os.waitpid(server, os.WNOHANG)[0] == server
    except ChildProcessError:
        return True


def stop(server: int) -> None:
    """A fast stop writes everything down and ends all sessions; what doesn't end is ended harder.

    Never SIGTERM: PostgreSQL then waits for its clients, for ever.
    """
    for number, seconds in ((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, QUICK_STOP_SECONDS)):
        if exited(server):
            return
        os.kill(server, number)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if exited(server):
                return
            time.sleep(POLL_SECONDS)
    os.kill(server, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
