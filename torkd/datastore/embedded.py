"""A private PostgreSQL below the data directory, for standalone and `torkctl run`: nothing to install or set up.

`start_embedded(base)` takes the lock of `base`, makes the data if there are none, and hands lock and server over to a
keeper process (`keeper.py`), which stops the server when this process is gone, however it went.

    <base>/lock               locked while anybody uses `base`; holds the process id of the starter
    <base>/postgres/data      the cluster: complete or absent, with role and database `tork`
    <base>/postgres/server.log  what PostgreSQL said, bounded
    <base>/postgres/socket    the only way in, closed to other users

Invariants: one owner a directory; commits are durable (fsync stays on); no file is shared with another user; no
process is left after `stop`, nor long after the end of the starter.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import platformdirs

from tork.errors import StartError
from torkd.datastore import embedded_lock, keeper, orphans
from torkd.datastore.embedded_programs import Programs, find_programs, usable_by
from torkd.datastore.embedded_user import ServerUser, choose_user, name_of

logger = logging.getLogger(__name__)

PORT = "5432"
"""Only the name of the socket; named in the DSN because PGPORT would change it."""
SOCKET_PATH_BYTES = 107
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+-]*")
"""What neither libpq nor PostgreSQL's list of socket directories gives another meaning."""
STOP_SECONDS = keeper.FAST_STOP_SECONDS + keeper.QUICK_STOP_SECONDS + 5
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": PORT,
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "work_mem": "8MB",
    # One machine, no replicas: the log of changes serves recovery only.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "random_page_cost": "1.1",
    # Short statements on small tables: neither pays, and parallel plans need more of /dev/shm than containers have.
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # Rows of a queue live for milliseconds: vacuum often and little, or every look-up wades through dead rows.
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_max_workers": "2",
    # Terse leaves out DETAIL, which repeats the values of refused rows: they may be secrets.
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    # A killed client's transaction lets go of its locks even while it waits for another one's.
    **({"client_connection_check_interval": "2s"} if sys.platform == "linux" else {}),
}


LEAST_CACHE, MOST_CACHE = 128 << 20, 512 << 20
"""Bytes of `shared_buffers`. PostgreSQL takes of it what its tables fill: a small database never needs the most."""
CACHE_SHARE = 16
"""Which part of the memory it may be: searches among a million jobs go through 200 MB."""
_MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""What a container may have, by either version of control groups."""


class EmbeddedServer:
    """A running server. `dsn` is libpq's text for psycopg. Children of a fork hold no part of it (see below)."""

    def __init__(self, *, base: Path, dsn: str, keeper_pid: int, link: socket.socket, lock: embedded_lock.Lock) -> None:
        self.base = base
        self.dsn = dsn
        self.keeper_pid = keeper_pid
        self._link: socket.socket | None = link
        self._lock = lock
        _open_servers.add(self)

    def stop(self) -> None:
        """Stop the server and wait until it and its keeper are gone. Does nothing when called again or in a fork."""
        link, self._link = self._link, None
        if link is None:
            return
        with link:
            link.settimeout(STOP_SECONDS)
            try:
                link.shutdown(socket.SHUT_WR)
                while link.recv(512):
                    pass
            except TimeoutError:
                logger.warning("the keeper of the embedded PostgreSQL does not answer and is killed")
                os.kill(self.keeper_pid, signal.SIGKILL)
            except OSError as error:
                logger.warning("the keeper of the embedded PostgreSQL was gone before it was told to stop: %s", error)
        orphans.end(self.base / "postgres" / "data")  # there are none, unless somebody killed the keeper
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Let go of socket and lock, so that only the starter's end counts. Runs by itself in every forked child."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
            self._lock.close()


_open_servers: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for server in list(_open_servers):
        server.after_fork_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)


def data_directory(configured: str | None) -> Path:
    """The setting `data.dir`; else /var/lib/tork as root, so that an unprivileged user may enter; else ours at home."""
    if configured:
        return Path(configured).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/tork")
    return Path(platformdirs.user_data_dir("tork", appauthor=False))


def start_embedded(
    base: Path, *, binaries: Path | None = None, settings: Mapping[str, str] | None = None
) -> EmbeddedServer:
    """Start the server of `base`, making both as needed. StartError says in one sentence why not.

    `binaries` is a directory with PostgreSQL's programs, to use instead of those that would be found; `settings` are
    more settings of the server, stronger than ours.
    """
    base = base.absolute()
    try:
        _make_directory(base)
        lock = embedded_lock.take(base / "lock")
        try:
            return _start_locked(base, lock, binaries, {**SETTINGS, **_cache(), **(settings or {})})
        except BaseException:
            lock.abandon()  # not released: a keeper may have the server running still, and is about to stop it
            raise
    except OSError as error:
        raise StartError(_file_trouble(base, error)) from error


def cache_bytes(memory: int, limits: Iterable[str] = ()) -> int:
    """How much a server may keep in memory where there is so much of it; `limits` as the files of control groups say them."""
    allowed = [int(limit) for limit in limits if limit.strip().isdigit()]
    return max(LEAST_CACHE, min(min([memory, *allowed]) // CACHE_SHARE, MOST_CACHE))


def _cache() -> dict[str, str]:
    limits: list[str] = []
    for path in _MEMORY_LIMITS:
        with suppress(OSError):
            limits.append(Path(path).read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"shared_buffers": f"{cache_bytes(memory, limits) >> 20}MB"}


def start_in_free_run_directory(
    base: Path, *, binaries: Path | None = None, settings: Mapping[str, str] | None = None
) -> EmbeddedServer:
    """Start a server in the first `run-N` below `base` that nobody uses. The lock decides between two who want it."""
    while True:
        try:
            return start_embedded(first_free_run_directory(base), binaries=binaries, settings=settings)
        except embedded_lock.DirectoryInUse:
            continue


def first_free_run_directory(base: Path) -> Path:
    """The first of `run-1`, `run-2`, ... that is not locked now. Another process may still take it first."""
    number = 1
    while embedded_lock.is_taken(base / f"run-{number}" / "lock"):
        number += 1
    return base / f"run-{number}"


def attach(base: Path) -> str | None:
    """The DSN of the server that somebody else runs in `base`, or None when none is running and ready."""
    base = base.absolute()
    if not embedded_lock.is_taken(base / "lock"):
        return None
    try:
        lines = (base / "postgres" / "data" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    return _dsn(lines[4], lines[3]) if len(lines) > 7 and lines[7].strip() == "ready" else None


def _start_locked(
    base: Path, lock: embedded_lock.Lock, binaries: Path | None, settings: Mapping[str, str]
) -> EmbeddedServer:
    home = base / "postgres"
    data = home / "data"
    user = choose_user(home)
    _make_private(home, user)
    programs = find_programs(binaries, _data_major(data), data)
    if user.drops_root:
        programs = usable_by(programs, user.uid, user.gid, home)
    if not data.exists():
        _create_cluster(programs, user, home, lock.descriptor)
    orphans.end(data)
    sockets = _socket_directory(home, user, settings["port"])
    for left_behind in sockets.glob(".s.PGSQL.*"):
        left_behind.unlink()  # by a killed server: its lock file blocks a start while that process id is anybody's
    options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
    command = [*user.prefix, programs.postgres, "-D", str(data), "-k", str(sockets), *options]
    dsn = _dsn(str(sockets), settings["port"])
    keeper_pid, link = _start_keeper(command, user, home, lock.descriptor)
    return EmbeddedServer(base=base, dsn=dsn, keeper_pid=keeper_pid, link=link, lock=lock)


def _dsn(host: str, port: str) -> str:
    return f"host={host} port={port} user=tork dbname=tork"


def _data_major(data: Path) -> int | None:
    if not data.exists():
        return None
    try:
        return int((data / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError) as error:
        raise StartError(f"{data} is no PostgreSQL data directory: move it away, or set data.dir elsewhere") from error


def _make_directory(base: Path) -> None:
    missing = [folder for folder in (base, *base.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755 if os.geteuid() == 0 else 0o700)


def _make_private(folder: Path, user: ServerUser) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700)
        os.chown(folder, user.uid, user.gid)


def _create_cluster(programs: Programs, user: ServerUser, home: Path, lock: int) -> None:
    """Make the data beside their place and move them there when they are complete, so that a crash leaves none or all."""
    for stale in home.glob("data.new-*"):
        shutil.rmtree(stale)
    fresh = home / f"data.new-{os.getpid()}"
    initdb = [programs.initdb, "-D", str(fresh), "-U", "tork", "-A", "trust", "-E", "UTF8", "--no-locale"]
    _run([*user.prefix, *initdb, "--no-instructions"], "", user, home, lock)
    single = [programs.postgres, "--single", "-D", str(fresh), "postgres"]
    # Copying the files is twice as fast as logging the copy.
    _run([*user.prefix, *single], "CREATE DATABASE tork STRATEGY FILE_COPY;\n", user, home, lock)
    fresh.rename(home / "data")
    descriptor = os.open(home, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _run(command: list[str], statements: str, user: ServerUser, home: Path, lock: int) -> None:
    """The command inherits the lock: should we be killed, nobody else gets in before it has ended, too."""
    done = subprocess.run(
        command,
        input=statements,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env=_environment(home),
        pass_fds=[lock],
        start_new_session=True,
        check=False,
        **user.run_as,
    )
    if done.returncode != 0 or "FATAL:" in done.stdout or "ERROR:" in done.stdout:
        raise StartError(_server_trouble(home, _telling_line(done.stdout) or f"exit code {done.returncode}"))


def _telling_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search("error:|ERROR:|FATAL:|PANIC:|could not", line)]
    return (telling or lines or [""])[0]


def _environment(home: Path) -> dict[str, str]:
    """Nothing of ours goes to the server's processes: other processes of that user could read it."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC", "HOME": str(home)}


def _start_keeper(command: list[str], user: ServerUser, home: Path, lock: int) -> tuple[int, socket.socket]:
    """Start the keeper and wait for its first word. However long that takes: recovery after a crash has no limit."""
    link, keepers_end = socket.socketpair()
    uid, gid = (user.uid, user.gid) if user.drops_root else (-1, -1)
    numbers = [str(number) for number in (keepers_end.fileno(), lock, uid, gid)]
    with keepers_end:
        subprocess.run(
            [sys.executable, "-I", "-S", str(Path(keeper.__file__)), *numbers, str(home), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(home),
            pass_fds=[keepers_end.fileno(), lock],
            start_new_session=True,
            check=False,
        )
    try:
        word, _, rest = _first_line(link).partition(" ")
        if word != "ready":
            raise StartError(_server_trouble(home, rest or "its keeper process ended at once"))
    except BaseException:
        link.close()
        raise
    return int(rest), link


def _first_line(link: socket.socket) -> str:
    with link.makefile(encoding="utf-8", errors="replace") as lines:
        return lines.readline().strip()


def _server_trouble(home: Path, reason: str) -> str:
    if "No space left on device" in reason or "Disk quota exceeded" in reason:
        return f"the disk that holds {home} is full, so the embedded PostgreSQL can't start: free some space"
    reason = re.sub(r"^.*?(FATAL|PANIC):\s+", "", reason)
    return f"the embedded PostgreSQL did not start: {reason} (its log is {home / keeper.LOG_NAME})"


def _file_trouble(base: Path, error: OSError) -> str:
    where = error.filename or base
    return (
        f"the data directory {base} can't be used by {name_of(os.geteuid())}: {where}: {error.strerror}; "
        "set data.dir (TORK_DATA_DIR) to a directory you may write to"
    )


def _socket_directory(home: Path, user: ServerUser, port: str) -> Path:
    """`socket` in home, or a short directory elsewhere when that path is too long for a socket or has odd characters."""
    wanted = home / "socket"
    longest = f"{wanted}/.s.PGSQL.{port}.lock"
    if len(os.fsencode(longest)) > SOCKET_PATH_BYTES or not PLAIN_PATH.fullmatch(str(wanted)):
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        wanted = _short_root() / f"tork-{user.uid}-{digest}"
    _make_private(wanted, user)
    status = wanted.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user.uid or stat.S_IMODE(status.st_mode) & 0o077:
        raise StartError(f"{wanted} is not a directory that only {name_of(user.uid)} may enter: remove it")
    return wanted


def _short_root() -> Path:
    folder = "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "")
    if folder and len(folder) < 60 and PLAIN_PATH.fullmatch(folder) and os.access(folder, os.W_OK):
        return Path(folder)
    return Path("/tmp")  # noqa: S108 - owner and mode of what is made there are checked
