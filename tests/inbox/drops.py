"""Ways in which files come into a folder, and what has to become of each."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.waiting import wait_until

STAGED = "staging"
"""A folder beside the watched one, on the same file system."""


@dataclass
class Expected:
    """What the server and the folder have to have at the end."""

    once: dict[str, int] = field(default_factory=dict)
    """Names of jobs that there must be one of, with how many tasks they have."""

    at_most_once: set[str] = field(default_factory=set)
    """Names of jobs whose file was written over, perhaps before anybody saw it."""

    invalid: set[str] = field(default_factory=set)
    """Files that must have their `.error`."""

    files: int = 0
    """How often a file was written."""


@dataclass
class Dropper:
    """Drops files into one folder. `number` makes its names its own."""

    folder: Path
    number: int
    chance: random.Random
    longest_pause_seconds: float
    """Longer than files take to settle."""

    expected: Expected = field(default_factory=Expected)
    _count: int = 0
    _contents: list[tuple[str, str]] = field(default_factory=list)

    def drop(self, files: int) -> None:
        """Write so many files, in ways taken by chance."""
        ways = self._ways()
        while self.expected.files < files:
            next(ways)()

    def _ways(self) -> Iterator[Callable[[], None]]:
        ways = [
            self.at_once, self.at_once, self.slowly, self.renamed_in, self.renamed_in, self.written_over, self.replaced,
            self.invalid, self.mended, self.spoilt, self.copied, self.copied, self.touched, self.renamed_within,
        ]  # fmt: skip
        while True:
            self.chance.shuffle(ways)
            yield from ways

    def at_once(self) -> None:
        """Opened, written, closed."""
        self._put(self._file(), self._job())

    def slowly(self) -> None:
        """Written in pieces, each of which makes a job of its own kind, with pauses longer than files take to settle."""
        name, tasks = self._name(), self.chance.randint(3, 5)
        path = self._file()
        with path.open("w") as file:
            file.write(f"name: {name}\ntasks:\n")
            for number in range(tasks):
                file.write(f"  - {{name: step {number}, run: 'true', queue: nowhere}}\n")
                file.flush()
                self._pause()
        self.expected.files += 1
        self.expected.once[name] = tasks

    def renamed_in(self) -> None:
        """Written elsewhere, or under a name that does not count, and renamed."""
        path = self._file()
        hidden = path.with_name(f".{self.number}-{self._count}.tmp")
        staged = self.chance.choice([hidden, self.folder.parent / STAGED / f"{self.number}-{self._count}"])
        self._put(staged, self._job())
        staged.rename(path)

    def written_over(self) -> None:
        """Written again under the same name, in the same file."""
        path = self._file()
        self._put_passing(path)
        self._put(path, self._job())

    def replaced(self) -> None:
        """Another file takes its name."""
        path = self._file()
        self._put_passing(path)
        other = path.with_name(f".{self.number}-{self._count}.tmp")
        self._put(other, self._job())
        other.rename(path)

    def invalid(self) -> None:
        """No job at all."""
        path = self._file()
        self._put_invalid(path)
        self.expected.invalid.add(path.name)

    def mended(self) -> None:
        """No job at first; once that was said, one."""
        path = self._file()
        self._put_invalid(path)
        error = path.with_name(f"{path.name}.error")
        wait_until(error.exists, timeout=90, describe=lambda: f"{error} is not there")
        self._put(path, self._job())

    def spoilt(self) -> None:
        """A job at first, then none."""
        path = self._file()
        self._put_passing(path)
        self._put_invalid(path)
        self.expected.invalid.add(path.name)

    def copied(self) -> None:
        """The content of an earlier one under another name."""
        if self._contents:
            _, text = self.chance.choice(self._contents)
            self._file().write_text(text)
            self.expected.files += 1

    def touched(self) -> None:
        """Written again as it was."""
        path, job = self._file(), self._job()
        self._put(path, job)
        self._pause()
        path.write_text(job[1])
        self.expected.files += 1

    def renamed_within(self) -> None:
        """Given another name in the folder."""
        path = self._file()
        self._put(path, self._job())
        self._pause()
        try:
            path.rename(self._file())
        except FileNotFoundError:
            return  # it was taken already

    def _put_passing(self, path: Path) -> None:
        """A job that is written over in a moment."""
        name, text = self._job()
        path.write_text(text)
        self.expected.files += 1
        self.expected.at_most_once.add(name)
        self._pause()

    def _put_invalid(self, path: Path) -> None:
        wrong = self.chance.choice([b"  imag: x\n", b"tasks: [\n", b"\xff\xfe\x00", b"name: 'never ends\n", b""])
        path.write_bytes(f"# {self.number} {self._count}\n".encode() + wrong)
        self.expected.files += 1

    def _put(self, path: Path, job: tuple[str, str]) -> None:
        name, text = job
        path.write_text(text)
        self._contents.append(job)
        self.expected.files += 1
        self.expected.once[name] = 1

    def _job(self) -> tuple[str, str]:
        name = self._name()
        return name, f"name: {name}\ntasks:\n  - {{name: step, run: 'true', queue: nowhere}}\n"

    def _name(self) -> str:
        self._count += 1
        return f"job-{self.folder.name}-{self.number}-{self._count}"

    def _file(self) -> Path:
        self._count += 1
        kind = self.chance.choice(
            ["{}.yaml", "{}.yml", "-{} x.yaml", "ü {}.yml", "line\n{}.yaml", "%2e{}.YAML", "\udcff{}.yml"]
        )
        return self.folder / kind.format(f"{self.number}-{self._count}")

    def _pause(self) -> None:
        time.sleep(self.chance.uniform(0, self.longest_pause_seconds))


def shown(path: Path) -> str:
    """A name for people."""
    return repr(os.fsencode(path.name))
