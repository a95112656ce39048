"""Two watchers a folder, droppers, and kill -9 at random; then peace, and the server's list of jobs against what was dropped."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.inbox.drops import STAGED, Dropper, shown
from tests.support.daemon import Daemon

MODES = ("keep", "move", "delete")
SETTLE = "400ms"
CALM_SECONDS = 180.0
"""Within which everything is as it has to be once nothing is killed any more."""


@dataclass
class Report:
    """What was done, and what was found."""

    files: int = 0
    contents: int = 0
    passing: int = 0
    invalid: int = 0
    jobs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def table(self) -> str:
        """For people."""
        rows = [
            f"{self.files:6}  files written, in {self.seconds:.0f} s",
            f"{self.contents:6}  distinct contents that must be submitted once",
            f"{self.passing:6}  that were written over, and may be submitted once",
            f"{self.invalid:6}  invalid files at the end",
            *(f"{count:6}  kill -9 of {what}" for what, count in sorted(self.kills.items())),
            f"{self.jobs:6}  jobs on the server",
            f"{len(self.wrong):6}  wrong (lost, doubled, half written, without .error)",
        ]
        return "\n".join([*rows, *self.wrong[:50]])


class Watcher:
    """One `torkctl watch`, started again whenever it was killed.

    The second of a folder knows folder and server by other names, as on another machine: what the first remembers there is
    nothing to it.
    """

    def __init__(self, folder: Path, mode: str, daemon: Daemon, number: int) -> None:
        self.log = folder.parent / f"{folder.name}-{number}.log"
        environment = daemon.client_environment()
        if number:
            (folder.parent / f"{folder.name}-shared").symlink_to(folder)
            folder = folder.parent / f"{folder.name}-shared"
            environment["TORK_CLIENT_ENDPOINT"] = f"http://localhost:{daemon.port}"
        command = ["-m", "torkctl", "watch", "--after", mode, "--settle", SETTLE, "-o", "jsonl", str(folder)]
        self._command = [sys.executable, *command]
        self._environment = environment
        self.start()

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it; how it ended."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(timeout=60)

    def ended_by_itself(self) -> bool:
        """Whether it has, which it must not."""
        return self._process.poll() is not None


def run_proof(
    base: Path, *, files: int, droppers: int, pause: float, kills: int, seed: int, tell: Callable[[str], None]
) -> Report:
    """Have so many droppers a folder drop so many files, with so many kills on the way."""
    report, started = Report(), time.monotonic()
    chance = random.Random(seed)
    (base / STAGED).mkdir()
    with Daemon() as daemon, _watchers(base, daemon) as watchers:
        everybody = _droppers(base, chance, droppers, pause)
        threads = [threading.Thread(target=one.drop, args=(-(-files // len(everybody)),)) for one in everybody]
        for thread in threads:
            thread.start()
        _kill_while(threads, watchers, daemon, report, chance, kills)
        for thread in threads:
            thread.join()
        tell(f"{time.monotonic() - started:5.0f} s  all is dropped")
        _await_calm(report, daemon, watchers, everybody)
        tell(f"{time.monotonic() - started:5.0f} s  {report.wrong or 'all well'}")
        if not report.wrong:
            _start_anew(report, base, daemon, watchers, everybody)
        report.seconds = time.monotonic() - started
    return report


@contextmanager
def _watchers(base: Path, daemon: Daemon) -> Iterator[list[Watcher]]:
    with ExitStack() as undo:
        watchers = []
        for mode in MODES:
            (base / mode).mkdir()
            for number in range(2):
                watcher = Watcher(base / mode, mode, daemon, number)
                undo.callback(watcher.kill)
                watchers.append(watcher)
        yield watchers


def _droppers(base: Path, chance: random.Random, each: int, pause: float) -> list[Dropper]:
    return [
        Dropper(base / mode, number, random.Random(chance.random()), pause)
        for number, mode in enumerate(mode for mode in MODES for _ in range(each))
    ]


def _kill_while(
    threads: Sequence[threading.Thread],
    watchers: Sequence[Watcher],
    daemon: Daemon,
    report: Report,
    chance: random.Random,
    kills: int,
) -> None:
    """Until all kills are done: files go on being dropped, or at least being handled."""
    while report.kills.total() < kills:
        time.sleep(chance.uniform(0, 1.0))
        if chance.random() < 0.85:
            watcher = chance.choice(watchers)
            if watcher.ended_by_itself():
                report.wrong.append(f"a watcher ended by itself:\n{watcher.log.read_text(errors='replace')[-2000:]}")
            watcher.kill()
            watcher.start()
            report.kills["a watcher"] += 1
        elif chance.random() < 0.5:
            daemon.kill()
            time.sleep(chance.uniform(0, 1.0))
            daemon.start()
            report.kills["the daemon with its database"] += 1
        else:
            for process in daemon.children("server"):
                process.kill()
            report.kills["the process that serves"] += 1
        if not any(thread.is_alive() for thread in threads) and report.kills.total() >= kills // 2:
            return


def _await_calm(report: Report, daemon: Daemon, watchers: Sequence[Watcher], droppers: Sequence[Dropper]) -> None:
    deadline = time.monotonic() + CALM_SECONDS
    report.files = sum(one.expected.files for one in droppers)
    report.contents = sum(len(one.expected.once) for one in droppers)
    report.passing = sum(len(one.expected.at_most_once) for one in droppers)
    report.invalid = sum(len(one.expected.invalid) for one in droppers)
    while True:
        wrong = _faults(report, daemon, watchers, droppers)
        if not wrong or time.monotonic() > deadline:
            report.wrong += wrong
            return
        time.sleep(0.5)


def _start_anew(
    report: Report, base: Path, daemon: Daemon, watchers: Sequence[Watcher], droppers: Sequence[Dropper]
) -> None:
    """Without anything remembered in the folders nothing is submitted again: the server knows."""
    for watcher in watchers:
        if (code := watcher.kill(signal.SIGTERM)) != 0:
            report.wrong.append(f"a watcher that was told to stop ended with {code}")
    for mode in MODES:
        shutil.rmtree(base / mode / ".torkctl")
    before = {watcher: watcher.log.stat().st_size for watcher in watchers}
    deadline = time.monotonic() + CALM_SECONDS
    kept = [watcher for watcher in watchers if watcher.log.name.startswith("keep")]
    for watcher in kept:
        watcher.start()
    while any(watcher.log.stat().st_size == before[watcher] for watcher in kept) and time.monotonic() < deadline:
        time.sleep(0.2)
    _await_calm(report, daemon, kept, droppers)


def _faults(report: Report, daemon: Daemon, watchers: Sequence[Watcher], droppers: Sequence[Dropper]) -> list[str]:
    jobs = _jobs(daemon)
    report.jobs = len(jobs)
    counts = Counter(job["name"] for job in jobs)
    wrong = [f"{name} is there {count} times" for name, count in counts.items() if count > 1]
    wanted: dict[str, int] = {}
    for one in droppers:
        wanted |= one.expected.once
        counts.subtract(one.expected.at_most_once)
        wrong += _faults_of_files(one)
    tasks = {job["name"]: job.get("taskCount", 0) for job in jobs}
    wrong += [f"{name} is missing" for name in wanted if name not in tasks]
    wrong += [f"{name} was submitted half written" for name in wanted if name in tasks and tasks[name] != wanted[name]]
    wrong += [f"nobody dropped {name}" for name, count in counts.items() if count > 0 and name not in wanted]
    wrong += [f"{watcher.log.name} ended by itself" for watcher in watchers if watcher.ended_by_itself()]
    return wrong


def _faults_of_files(dropper: Dropper) -> list[str]:
    wrong = []
    mine = [path for path in dropper.folder.iterdir() if re.search(rf"(?<!\d){dropper.number}-\d", path.name)]
    errors = [path for path in mine if path.suffix == ".error" and path.stem not in dropper.expected.invalid]
    wrong += [f"{shown(path)} is beside a file that is all right" for path in errors]
    for name in dropper.expected.invalid:
        error = dropper.folder / f"{name}.error"
        if not error.exists():
            wrong.append(f"{shown(error)} is missing")
        elif not re.search(r":\d+:\d+: ", error.read_text()):
            wrong.append(f"{shown(error)} does not say where: {error.read_text()}")
    if dropper.folder.name != "keep":
        left = [path for path in mine if path.suffix != ".error" and path.name not in dropper.expected.invalid]
        wrong += [f"{shown(path)} was left where it was" for path in left if not path.name.startswith(".")]
        taken = dropper.folder / ".torkctl" / "taken"
        if taken.exists() and any(path.is_file() for path in taken.rglob("*")):
            wrong.append(f"something is left in {taken}")
    if dropper.folder.name == "move":
        texts = {path.read_text() for path in (dropper.folder / "submitted").rglob("*") if path.is_file()}
        names = {text.partition("\n")[0].removeprefix("name: ") for text in texts}
        wrong += [f"{name} was not moved to submitted" for name in dropper.expected.once if name not in names]
    return wrong


def _jobs(daemon: Daemon) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = []
    page, pages = 1, 1
    while page <= pages:
        answer = daemon.call("GET", f"/jobs?size=20&page={page}")
        jobs += answer["items"]
        page, pages = page + 1, answer["totalPages"]
    return list({job["id"]: job for job in jobs}.values())
