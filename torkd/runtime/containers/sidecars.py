"""The containers beside the main one: started and ready before it, gone after it, their logs in the task's all the while."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from tork.errors import RuntimeFailure
from tork.task import Probe, Sidecar
from torkd.runtime.containers.container_config import Published
from torkd.runtime.containers.engine import EngineError, Standing
from torkd.runtime.containers.probe import wait_until_ready
from torkd.runtime.containers.step import Place, StepContainer
from torkd.runtime.containers.watch import Watch
from torkd.runtime.failure_text import failure_text

SIDECAR = "sidecar-"
"""How the names of their steps begin."""
_LOCALHOST = "127.0.0.1"
_PORT_SECONDS = 5.0
_LOOK_SECONDS = 0.02


class Sidecars:
    """Those of one task. `remove` them whatever happened."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._containers: list[StepContainer] = []

    def start(self) -> None:
        """One after the other, each ready before the next. Raises `RuntimeFailure`."""
        for index, sidecar in enumerate(self._place.run.definition.sidecars):
            if self._place.run.stop.is_set():
                raise self._place.run.stop.error()
            container = self._container(index, sidecar)
            self._containers.append(container)
            with _explained("creating"):
                container.create()
            with _explained("starting"):
                container.start()
                if sidecar.probe is not None:
                    self._await(container, sidecar.probe)

    def take_up(self, names: set[str]) -> None:
        """Watch those that a worker of before has started, by the names of their steps."""
        for index, sidecar in enumerate(self._place.run.definition.sidecars):
            container = self._container(index, sidecar)
            if container.name in names:
                self._containers.append(container)
                container.take_up()

    def leave(self) -> None:
        """Watch them no more; they go on."""
        for container in self._containers:
            container.leave()

    def remove(self) -> None:
        """The main container has ended. What they have printed until now is in the log.

        All are ended before a log is waited for, and the patience is for all logs together: once to be drained, and once to
        be given up.
        """
        try:
            self._drain()
        finally:
            for watch in self._open_watches():
                watch.abandon()
            deadline = self._deadline()
            while self._containers:
                self._containers.pop().remove(deadline)

    def _drain(self) -> None:
        ended = [
            container.watch
            for container in reversed(self._containers)
            if container.watch is not None and not container.watch.is_over and container.end(grace_seconds=0)
        ]
        deadline = self._deadline()
        for watch in ended:
            watch.wait(max(deadline - time.monotonic(), 0.0))

    def _open_watches(self) -> list[Watch]:
        watches = (container.watch for container in self._containers)
        return [watch for watch in watches if watch is not None and not watch.is_over]

    def _deadline(self) -> float:
        return time.monotonic() + self._place.equipment.options.patience_seconds

    def _container(self, index: int, sidecar: Sidecar) -> StepContainer:
        published = None
        if sidecar.probe is not None:
            published = Published(port=sidecar.probe.port, address=address_of(self._place.equipment.engine.place))
        return StepContainer(self._place, f"{SIDECAR}{index}", sidecar, published=published)

    def _await(self, container: StepContainer, probe: Probe) -> None:
        watch = container.watch
        assert watch is not None

        def exit_code() -> int | None:
            return watch.ending.code if watch.ending is not None else None

        try:
            port = probe.port if self._place.networks.is_host else self._published_port(container, probe.port)
            stop = self._place.run.stop
            with closing(self._place.run.log.stream()) as log:
                wait_until_ready(
                    probe,
                    address_of(self._place.equipment.engine.place),
                    port,
                    log=log,
                    stop=stop,
                    exit_code=exit_code,
                )
        except RuntimeFailure as failure:
            if self._place.run.stop.is_set() or type(failure) is not RuntimeFailure:
                raise
            name = container.step.name or container.name
            if (code := exit_code()) is None:
                raise RuntimeFailure(f"sidecar '{name}': {failure}") from failure
            raise RuntimeFailure(
                f"sidecar '{name}' ended before its probe passed: {failure_text(code, '', watch.tail)}"
            ) from failure

    def _published_port(self, container: StepContainer, port: int) -> int:
        equipment = self._place.equipment
        deadline = time.monotonic() + _PORT_SECONDS
        while True:
            state = equipment.engine.inspect_container(container.container)
            if port in state.ports:
                return state.ports[port]
            if state.standing is Standing.ENDED and container.watch is not None:
                container.watch.wait(equipment.options.patience_seconds)  # then its exit code is known
            if state.standing is Standing.ENDED or time.monotonic() > deadline:
                raise RuntimeFailure(f"port {port} is not published")
            if self._place.run.stop.wait(_LOOK_SECONDS):
                raise self._place.run.stop.error()


def address_of(place: str) -> str:
    """By which address published ports of an engine are reached: for one on another host, that by which we reach it."""
    url = urlsplit(place)
    if url.scheme not in {"tcp", "ssh", "http", "https"} or not url.hostname:
        return _LOCALHOST
    try:
        return socket.gethostbyname(url.hostname)
    except OSError as error:
        raise RuntimeFailure(f"the engine's host {url.hostname} is not known: {error}") from error


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise type(error)(f"error {doing} sidecar container: {error}") from error
    except RuntimeFailure as error:
        if type(error) is not RuntimeFailure:
            raise
        raise RuntimeFailure(f"error {doing} sidecar container: {error}") from error
