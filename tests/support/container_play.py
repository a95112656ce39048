"""The container runtime on the fake engine: a play of one node with its runs, and workers that come and go.

A log here belongs to the run, as with a real coordinator: whoever takes the run up finds its named streams where they were.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.support.fake_engine import FakeEngine
from tork.task import TaskDefinition
from torkd.runtime.containers.bind_rules import BindRules
from torkd.runtime.containers.differences import DOCKER
from torkd.runtime.containers.engine import ContainerState
from torkd.runtime.containers.equipment import Equipment
from torkd.runtime.containers.image_ledger import ImageLedger
from torkd.runtime.containers.images import ImageStore
from torkd.runtime.containers.mounts import MountRules
from torkd.runtime.containers.networks import NetworkRules
from torkd.runtime.containers.options import ContainerOptions
from torkd.runtime.containers.reaper import DeadNodes, Reaper
from torkd.runtime.containers.runtime import ContainerRuntime
from torkd.runtime.lost_nodes import LostNodes
from torkd.runtime.protocol import LogSink, TaskRun
from torkd.runtime.stopping import StopSignal

NODE = "n1"


class ServedEngine(FakeEngine):
    """A fake engine whose published ports all lead to one real port of this host."""

    served_port = 0

    def inspect_container(self, container: str) -> ContainerState:
        """What it is doing."""
        state = super().inspect_container(container)
        return replace(state, ports=dict.fromkeys(state.ports, self.served_port))


@contextmanager
def a_server(status: int = 200) -> Iterator[int]:
    """The port of a server that answers everything with this status."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class KeptLog:
    """The log of a run, whichever worker writes it: what each stream said, by its name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.streams: defaultdict[str, bytearray] = defaultdict(bytearray)
        self.is_cut_off = False
        """Whether who writes is a worker that is gone."""

    def sink(self) -> LogSink:
        """For a worker; `successor` makes that of the next."""
        return _KeptSink(self, "", [False])

    def successor(self) -> KeptLog:
        """The same log for the worker that comes next; nothing that the one before writes arrives any more."""
        with self.lock:
            self.is_cut_off = True
            log = KeptLog()
            log.streams = defaultdict(bytearray, {name: bytearray(data) for name, data in self.streams.items()})
            return log

    def text(self, stream: str) -> str:
        """What a stream said."""
        with self.lock:
            return bytes(self.streams[stream]).decode()


class _KeptSink:
    def __init__(self, log: KeptLog, name: str, closed: list[bool]) -> None:
        self._log, self._name, self._closed = log, name, closed
        with log.lock:
            self._position = len(log.streams[name]) if name else 0

    @property
    def position(self) -> int:
        return self._position

    def write(self, data: bytes) -> None:
        with self._log.lock:
            if not self._log.is_cut_off:
                self._log.streams[self._name] += data

    def stream(self, name: str = "") -> LogSink:
        return _KeptSink(self._log, name, [False])

    def close(self) -> None:
        self._closed[0] = True


@dataclass
class PlayedRun:
    """A run as a runtime gets it, and what became of it."""

    definition: TaskDefinition
    directory: Path
    """What `keep` answers."""
    run_id: str = "r1"
    resumed: bool = False
    log: KeptLog = field(default_factory=KeptLog)
    stop: StopSignal = field(default_factory=StopSignal)
    progress: list[float] = field(default_factory=list)
    outcome: Future[str] = field(default_factory=Future)

    def task_run(self) -> TaskRun:
        """What a runtime gets."""
        labels = {"torkd.node": NODE, "torkd.run": self.run_id, "torkd.task": "t1", "torkd.job": "j1"}
        return TaskRun(
            task_id="t1",
            run_id=self.run_id,
            node_id=NODE,
            definition=self.definition,
            log=self.log.sink(),
            report_progress=self.progress.append,
            stop=self.stop,
            keep=lambda: self.directory,
            resumed=self.resumed,
            labels=labels,
        )

    def successor(self) -> PlayedRun:
        """The same run for the worker that comes next."""
        return PlayedRun(self.definition, self.directory, run_id=self.run_id, resumed=True, log=self.log.successor())

    def begin(self, execute: Callable[[TaskRun], str]) -> None:
        """Execute it in a thread; `outcome` tells how it ended."""

        def body() -> None:
            try:
                self.outcome.set_result(execute(self.task_run()))
            except BaseException as error:  # noqa: BLE001 -- the outcome tells
                self.outcome.set_exception(error)

        threading.Thread(target=body, name="played-run", daemon=True).start()

    def end(self) -> str:
        """Wait for its end: the result, or raises its failure."""
        return self.outcome.result(20.0)


def an_equipment(engine: FakeEngine, *, binds: bool = True, **options: object) -> Equipment:
    """What the runtime works with; without `binds` the engine does not see our directories."""
    chosen = ContainerOptions(node_id=NODE, grace_seconds=1.0, patience_seconds=0.05, reap_seconds=3600.0)
    return Equipment(
        engine=engine,
        differences=DOCKER,
        options=replace(chosen, **options),  # type: ignore[arg-type] # each test knows its options
        images=ImageStore(engine=engine, ledger=ImageLedger(None)),
        mount_rules=MountRules(binds=BindRules(allowed=False, sources=()), mounters={}, engine_is_here=True),
        network_rules=NetworkRules(),
        environ={"PATH": ""},
        sees_our_directories=binds,
    )


class AllLost(LostNodes):
    """Coordinators that have heard of no node."""

    def among(self, dead: Collection[str]) -> set[str]:
        """All of them."""
        return set(dead)


def a_runtime(
    engine: FakeEngine,
    mark: Path,
    *,
    equipment: Equipment | None = None,
    dead_nodes: DeadNodes = lambda: nullcontext([]),
) -> ContainerRuntime:
    """One worker's."""
    return ContainerRuntime(
        equipment or an_equipment(engine), dead_nodes=dead_nodes, lost_nodes=AllLost(1.0), mark=mark
    )


def reap(engine: FakeEngine, owned: Collection[str] = ()) -> int:
    """What the reaper of the node removes."""
    return Reaper(
        engine,
        NODE,
        owned_runs=lambda: owned,
        dead_nodes=lambda: nullcontext([]),
        lost_among=lambda nodes: nodes,
        forget_node=lambda _: None,
        gone_after_seconds=0.0,
    ).reap()
