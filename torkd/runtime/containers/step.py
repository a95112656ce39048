"""One step of a task as a container: made, started, watched, and gone again with its `/tork`."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tork.errors import RuntimeFailure
from tork.task import AuxTask, TaskDefinition
from torkd.runtime.containers.alias import slug
from torkd.runtime.containers.archive import archive_of
from torkd.runtime.containers.command import OUTPUT_PATH, effective_command, working_directory
from torkd.runtime.containers.container_config import Published, Share, container_config
from torkd.runtime.containers.credentials import find_credentials
from torkd.runtime.containers.engine import EngineError, EngineUnavailable, ResourceMissing
from torkd.runtime.containers.equipment import Equipment
from torkd.runtime.containers.foreign_files import ForeignFiles
from torkd.runtime.containers.images import Verification
from torkd.runtime.containers.mounts import check_room_for_files
from torkd.runtime.containers.networks import Attachment, Networks
from torkd.runtime.containers.reference import parse_reference
from torkd.runtime.containers.refusals import in_plain_words
from torkd.runtime.containers.tork_place import BoundPlace, TorkPlace, VolumePlace, directory_in_tork
from torkd.runtime.containers.watch import Watch
from torkd.runtime.protocol import LogSink, TaskRun
from torkd.runtime.work_directory import check_file_name

_TRIES = 4
"""How often a container is made anew because something was learned about the engine."""

_STUMBLE_SECONDS = (0.1, 0.3, 0.6)
"""Before another try of what an engine stumbled over."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a step belongs: its run, and what it shares with the run's other steps."""

    run: TaskRun
    directory: Path
    share: Share
    networks: Networks
    equipment: Equipment


class StepContainer:
    """`create`, `start`, and `remove` whatever happened; or `take_up` one that runs."""

    def __init__(
        self,
        place: Place,
        name: str,
        step: TaskDefinition | AuxTask,
        *,
        workdir: str = "",
        published: Published | None = None,
    ) -> None:
        self.name = name
        self.step = step
        self.container = f"torkd-{place.run.run_id}-{name}"
        self._place, self._equipment = place, place.equipment
        self._workdir, self._published = workdir, published
        self.tork: TorkPlace | None = None
        self.watch: Watch | None = None
        self._use = ExitStack()
        """Holds the image while the container is there."""

    def create(self) -> None:
        """Make it, not started, with all that goes in. Raises `RuntimeFailure`."""
        self._hold_image()
        self._ensure_image()
        for _ in range(_TRIES):
            try:
                self._create()
                return
            except EngineError as error:
                if not self._is_worth_another_try(error):
                    raise self._explained(error) from error
            self._remove()
        raise RuntimeFailure(f"container {self.container} can't be made")

    def start(self) -> None:
        """Start and watch it. Raises `RuntimeFailure`."""
        try:
            self._start()
        except EngineError as error:
            if not self._equipment.learn(error, self._place.directory):
                raise self._explained(error) from error
            self._remove()
            self.create()
            self._start()
        self._watch()

    def _start(self) -> None:
        for pause in _STUMBLE_SECONDS:
            try:
                self._equipment.engine.start_container(self.container)
                return
            except EngineError as error:
                if not self._equipment.differences.has_stumbled(error):
                    raise
            time.sleep(pause)
        self._equipment.engine.start_container(self.container)

    def take_up(self) -> None:
        """Watch a container that a worker of before has started."""
        self._hold_image()
        bound = self._place.directory / self.name
        self.tork = BoundPlace(bound) if bound.is_dir() else self._volume_place()
        self._watch()

    def read_result(self) -> str:
        """What it wrote to its output."""
        assert self.tork is not None
        return self.tork.read_result()

    def read_progress(self) -> float | None:
        """The progress it told; None when it can't be read now."""
        try:
            return self.tork.read_progress() if self.tork is not None else None
        except EngineError as error:
            _LOG.debug("no progress of %s: %s", self.container, error)
            return None

    def stop(self, grace_seconds: float) -> None:
        """End it: asked first, killed after the grace. What it printed until then is in the log."""
        if self.end(grace_seconds) and self.watch is not None:
            self.watch.wait(self._equipment.options.patience_seconds)

    def end(self, grace_seconds: float) -> bool:
        """End it without waiting for its log. Whether the engine did it."""
        try:
            self._equipment.engine.stop_container(self.container, grace_seconds)
        except EngineError as error:
            _LOG.warning("%s could not be stopped: %s", self.container, error)
            return False
        return True

    def leave(self) -> None:
        """Watch it no more; it goes on."""
        if self.watch is not None:
            self.watch.abandon()
            self.watch.wait(self._equipment.options.patience_seconds)

    def remove(self, deadline: float | None = None) -> None:
        """Nothing of it stays. What the engine can't remove now is left to the reaper.

        The end of its log is waited for until the deadline, or as long as the patience lasts.
        """
        try:
            self._remove(deadline)
        finally:
            self._use.close()

    def _remove(self, deadline: float | None = None) -> None:
        if self.watch is not None and not self.watch.is_over:
            self.watch.abandon()
        try:
            self._equipment.engine.remove_container(self.container)
        except EngineError as error:
            _LOG.warning("container %s is left to the reaper: %s", self.container, error)
            self._equipment.has_leftovers.set()
        if self.watch is not None:
            patience = self._equipment.options.patience_seconds
            self.watch.wait(patience if deadline is None else max(deadline - time.monotonic(), 0.0))
        if self.tork is not None:
            self.tork.remove()
            if isinstance(self.tork, BoundPlace) and self.tork.path.exists():
                self._foreign_files().remove(self.tork.path)
            self.tork = None

    def _create(self) -> None:
        engine = self._equipment.engine
        self.tork = tork = self._tork_place()
        command = effective_command(self.step)
        files = {check_file_name(name): content.encode("utf-8", "replace") for name, content in self.step.files.items()}
        directory = working_directory(self.step, self._workdir)
        inside = directory_in_tork(directory)
        script = self.step.run if command.needs_script else None
        if inside is None:
            if files and directory is not None:
                check_room_for_files(directory, self._place.share.mounts)
            tork.make(script, {})
        else:  # an engine might unpack an archive beside the bind instead of into it
            tork.make(script, files, inside)
        attachment = self._attachment()
        config = container_config(
            self.step,
            self.name,
            self._place.share,
            tork=tork.mount,
            workdir=self._workdir,
            attachment=attachment,
            published=None if self._place.networks.is_host else self._published,
            with_init=self._equipment.has_init,
        )
        engine.create_container(self.container, config)
        if isinstance(tork, BoundPlace):
            self._equipment.prove_directories(self.container, OUTPUT_PATH)
        tork.fill()
        if files and inside is None and directory is not None:
            entries = {str(PurePosixPath(directory, name)): (content, 0o444) for name, content in files.items()}
            engine.put_archive(self.container, "/", archive_of(entries))
        for network, aliases in attachment.connections:
            engine.connect_network(network, self.container, aliases)

    def _explained(self, error: EngineError) -> EngineError:
        return in_plain_words(self._place.networks.explain(error, self._equipment.engine))

    def _hold_image(self) -> None:
        self._use.enter_context(self._equipment.images.use(self.step.image))

    def _ensure_image(self) -> None:
        step, equipment = self.step, self._equipment
        reference = parse_reference(step.image)
        equipment.images.ensure(
            step.image,
            lambda: find_credentials(
                reference,
                step.registry,
                equipment.options.credentials_file,
                environ=equipment.environ,
                stop=self._place.run.stop,
            ),
            self._place.run.log,
            self._place.run.stop,
            verification=self._verification(),
        )

    def _verification(self) -> Verification | None:
        if not self._equipment.options.image_verify:
            return None
        return Verification(name=f"{self.container}-verify", labels=self._place.run.labels)

    def _is_worth_another_try(self, error: EngineError) -> bool:
        if isinstance(error, EngineUnavailable):
            return False
        if self._equipment.learn(error, self._place.directory):
            return True
        if self._equipment.differences.has_stumbled(error):
            time.sleep(_STUMBLE_SECONDS[0])
            return True
        if isinstance(error, ResourceMissing) and self._equipment.images.forget(self.step.image):
            self._ensure_image()
            return True
        return False

    def _tork_place(self) -> BoundPlace | VolumePlace:
        if self._equipment.sees_our_directories:
            return BoundPlace(self._place.directory / self.name)
        return self._volume_place()

    def _volume_place(self) -> VolumePlace:
        run = self._place.run
        return VolumePlace(
            self._equipment.engine, f"torkd-{run.run_id}-tork-{self.name}", container=self.container, labels=run.labels
        )

    def _foreign_files(self) -> ForeignFiles:
        return ForeignFiles(
            engine=self._equipment.engine,
            container=f"{self.container}-cleanup",
            image=self.step.image,
            labels=self._place.run.labels,
            log_config=self._equipment.differences.log_config,
        )

    def _attachment(self) -> Attachment:
        return self._place.networks.attach(slug(self.step.name))

    def _watch(self) -> None:
        def sink(stream: str) -> LogSink:
            return self._place.run.log.stream(f"{self.name}/{stream}")

        self.watch = Watch(
            self._equipment.engine,
            self.container,
            sink,
            patience_seconds=self._equipment.options.patience_seconds,
            may_miss_the_end=self._equipment.differences.may_miss_the_end,
            has_stumbled=self._equipment.differences.has_stumbled,
        )
