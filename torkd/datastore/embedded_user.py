"""As whom the embedded PostgreSQL runs. It refuses to run as root, and its files must belong to whom it runs as.

As root: whoever owns the existing files, else `postgres`, else `nobody`. Otherwise: ourselves. Where that can't be, a
user namespace makes one user look like `nobody`: for root, when the directory is inside a closed one such as a home
(whose mode is not ours to change), and for a user id without a passwd entry, which initdb refuses.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from tork.errors import StartError
from torkd.datastore.embedded_programs import may_enter

UNPRIVILEGED_NAMES = ("postgres", "nobody")
NAMESPACE = ("--user", "--map-user=65534", "--map-group=65534", "--")


class _RunAs(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True)
class ServerUser:
    """Owner of the server's files and processes."""

    uid: int
    gid: int
    drops_root: bool = False
    prefix: tuple[str, ...] = ()
    """Put in front of commands: enters the user namespace and keeps the process id."""

    @property
    def run_as(self) -> _RunAs:
        """Arguments for subprocess."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drops_root else {}


def choose_user(home: Path) -> ServerUser:
    """The user for the server in `home`, which need not exist yet; its parent must."""
    owner = home.stat() if home.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise StartError(
                f"{home} belongs to {name_of(owner.st_uid)}, and this is {name_of(os.geteuid())}: "
                "start as that user, or set data.dir (TORK_DATA_DIR) to a directory of your own"
            )
        prefix = () if _has_name(os.geteuid()) else _namespace(f"user id {os.geteuid()} has no entry in /etc/passwd")
        return ServerUser(uid=os.geteuid(), gid=os.getegid(), prefix=prefix)
    wanted = [(owner.st_uid, owner.st_gid)] if owner else _unprivileged()
    for uid, gid in wanted:
        if uid != 0 and may_enter(home.parent, uid, gid):
            return ServerUser(uid=uid, gid=gid, drops_root=True)
    if owner is not None and owner.st_uid != 0:
        raise StartError(
            f"{home} belongs to {name_of(owner.st_uid)}, who may not enter {home.parent}: "
            "open that directory and its parents to everybody (chmod o+x)"
        )
    prefix = _namespace(f"PostgreSQL does not run as root, and other users may not enter {home.parent}")
    return ServerUser(uid=0, gid=0, prefix=prefix)


def name_of(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user id {uid}"


def _has_name(uid: int) -> bool:
    return not name_of(uid).startswith("user id ")


def _unprivileged() -> list[tuple[int, int]]:
    entries = {entry.pw_name: (entry.pw_uid, entry.pw_gid) for entry in pwd.getpwall()}
    return [entries[name] for name in UNPRIVILEGED_NAMES if name in entries]


def _namespace(trouble: str) -> tuple[str, ...]:
    unshare = shutil.which("unshare")
    if unshare is not None:
        prefix = (unshare, *NAMESPACE)
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    raise StartError(
        f"{trouble}, and user namespaces, which would help, are not available: "
        "start as a normal user, or set data.dir (TORK_DATA_DIR) to a directory such as /var/lib/tork"
    )
