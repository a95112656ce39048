"""The container runtime: pre, main and post of a task each in a container of its own, on Docker or on Podman.

A run blocks until nothing of it is left. What could not be removed then, because the engine was away or torkd was killed, is
found by its labels and removed later.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path

from tork.errors import RunLeft, RuntimeFailure
from torkd.runtime.containers.container_config import STEP_LABEL
from torkd.runtime.containers.engine import EngineError, Standing
from torkd.runtime.containers.equipment import Equipment
from torkd.runtime.containers.execution import Execution
from torkd.runtime.containers.pruning import prune
from torkd.runtime.containers.reaper import NODE_LABEL, RUN_LABEL, DeadNodes, Reaper
from torkd.runtime.containers.sidecars import SIDECAR
from torkd.runtime.lost_nodes import LostNodes
from torkd.runtime.protocol import TaskRun
from torkd.runtime.work_area import remove_tree

PRUNE_SECONDS = 3600.0
_AWAY_SECONDS = 5.0
"""How soon leftovers are looked for again when the engine did not answer."""

_CLOSE_SECONDS = 5.0
"""How long a look for leftovers that is under way may take at the end."""
_SOON_SECONDS = 1.0
"""The same, when a run could not remove something."""

_LOG = logging.getLogger(__name__)


class ContainerRuntime:
    """Leaves `mark` where it runs containers, for whoever has to know at the next start that some may be left."""

    def __init__(self, equipment: Equipment, *, dead_nodes: DeadNodes, lost_nodes: LostNodes, mark: Path) -> None:
        self._equipment = equipment
        self._options = equipment.options
        self._mark = mark
        self._lock = threading.Lock()
        self._active: set[str] = set()
        self._reserved: dict[str, float] = {}
        """Runs of before that may yet be taken up, and until when; and those that we left to a successor."""
        self._closing = threading.Event()
        self._look = threading.Event()
        """Ends the pause before the next look for leftovers."""
        self._reaper = Reaper(
            equipment.engine,
            self._options.node_id,
            owned_runs=self._owned,
            dead_nodes=dead_nodes,
            lost_among=lost_nodes.among,
            forget_node=self._forget_node,
            gone_after_seconds=self._options.gone_after_seconds,
        )
        self._keeper: threading.Thread | None = None

    def run(self, run: TaskRun) -> str:
        """Run pre, main and post; the main step's output."""
        if not run.task_id:
            raise RuntimeFailure("task id is required")
        if run.stop.is_set() and not run.resumed:
            raise run.stop.error()
        with self._lock:
            self._active.add(run.run_id)
        until = 0.0
        try:
            self._keep_house()
            return Execution(run, self._equipment).run()
        except RunLeft:
            until = math.inf
            raise
        finally:
            with self._lock:
                self._reserved[run.run_id] = until
                self._active.discard(run.run_id)
            if self._equipment.has_leftovers.is_set():
                self._look.set()

    def resumable(self) -> Collection[str]:
        """The runs of this node whose container of a step was started. Whatever is not taken up soon is left over."""
        try:
            found = self._find_resumable()
        except EngineError:
            self._keep_house(delay=self._options.gone_after_seconds)
            raise
        with self._lock:
            until = time.monotonic() + self._options.gone_after_seconds
            self._reserved = dict.fromkeys(found, until)
        self._keep_house()
        return found

    def _find_resumable(self) -> set[str]:
        engine = self._equipment.engine
        found = set()
        for container in engine.list_containers([f"{NODE_LABEL}={self._options.node_id}"]):
            run_id, step = container.labels.get(RUN_LABEL, ""), container.labels.get(STEP_LABEL, "")
            if not run_id or not step or step.startswith(SIDECAR):
                continue
            if engine.inspect_container(container.name).standing is not Standing.CREATED:
                found.add(run_id)
        return found

    def check_health(self) -> None:
        """Ask the engine for a sign of life."""
        self._equipment.engine.ping()

    def close(self) -> None:
        """Stop looking for leftovers, and disconnect."""
        self._closing.set()
        self._look.set()
        if self._keeper is not None:
            self._keeper.join(timeout=_CLOSE_SECONDS)
        self._equipment.engine.close()

    def _owned(self) -> Collection[str]:
        now = time.monotonic()
        with self._lock:
            self._reserved = {run_id: until for run_id, until in self._reserved.items() if until > now}
            return self._active | self._reserved.keys()

    def _keep_house(self, delay: float = 0.0) -> None:
        with self._lock:
            if self._keeper is not None:
                return
            self._keeper = threading.Thread(
                target=self._serve, args=(delay,), name="container-housekeeping", daemon=True
            )
        try:
            self._mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mark.touch()
        except OSError as error:
            _LOG.warning("leftovers would not be looked for at the next start: %s", error)
        self._keeper.start()

    def _serve(self, delay: float) -> None:
        prune_at = time.monotonic() + PRUNE_SECONDS
        self._closing.wait(delay)
        while not self._closing.is_set():
            is_done = _done("leftovers", self._reap)
            if time.monotonic() >= prune_at:
                prune_at += PRUNE_SECONDS
                _done("unused images", self._prune)
            self._look.wait(self._pause() if is_done else _AWAY_SECONDS)
            if self._look.is_set():
                self._look.clear()
                self._closing.wait(_SOON_SECONDS)  # an engine that went away may be back then

    def _pause(self) -> float:
        """Until the next look: sooner, when something may be left over by then."""
        now = time.monotonic()
        with self._lock:
            ends = [until - now for until in self._reserved.values() if until > now]
        return max(min([self._options.reap_seconds, *ends]), _SOON_SECONDS)

    def _reap(self) -> None:
        self._equipment.has_leftovers.clear()
        self._reaper.reap()

    def _forget_node(self, node_id: str) -> None:
        if self._options.runs is not None and (self._options.runs / node_id).exists():
            remove_tree(self._options.runs / node_id)

    def _prune(self) -> None:
        options = self._options
        prune(self._equipment.images, ttl_seconds=options.image_ttl_seconds, keep=options.image_keep)


def _done(what: str, act: Callable[[], object]) -> bool:
    """Whether it could be done now."""
    try:
        act()
    except EngineError as error:
        _LOG.warning("%s can't be removed now: %s", what, error)
        return False
    except Exception:  # noqa: BLE001 -- the thread must survive
        _LOG.exception("removing %s failed", what)
        return False
    return True
