"""What a mounter owes to the tasks that have its mounts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tork.errors import RuntimeFailure
from tork.task import Mount, TaskDefinition
from torkd.runtime.containers.mounters import BUILT_IN_TYPES, Mounter, mount_with
from torkd.testing.runs import RecordedRun


class MounterContract:
    """Making ready, answering again as before, undoing, several at once, refusing."""

    @pytest.fixture
    def mounter(self) -> Mounter:
        """A mounter that is ready."""
        raise NotImplementedError("let the class have a fixture `mounter` that makes yours")

    @pytest.fixture
    def mount(self) -> Mount:
        """What a task may ask it for."""
        raise NotImplementedError("let the class have a fixture `mount`: one that yours can make")

    @pytest.fixture
    def wrong_mount(self) -> Mount:
        """What it must refuse."""
        raise NotImplementedError("let the class have a fixture `wrong_mount`: one that yours refuses")

    def test_what_it_gives_can_be_mounted_where_the_task_wants_it(self, mounter: Mounter, mount: Mount) -> None:
        run = a_run()
        mounted = mounter.mount(mount, run.run)
        assert mounted.type in BUILT_IN_TYPES
        assert mounted.target == mount.target
        assert mounted.type != "bind" or Path(mounted.source).exists()
        mounter.unmount(mounted, run.run)

    def test_a_run_that_is_taken_up_gets_the_same_again(self, mounter: Mounter, mount: Mount) -> None:
        run = a_run()
        mounted = mounter.mount(mount, run.run)
        assert mounter.mount(mount, run.run) == mounted
        mounter.unmount(mounted, run.run)

    def test_a_run_can_have_it_again_after_it_was_undone(self, mounter: Mounter, mount: Mount) -> None:
        for _ in range(2):
            run = a_run()
            mounter.unmount(mounter.mount(mount, run.run), run.run)

    def test_several_runs_have_it_at_once(self, mounter: Mounter, mount: Mount) -> None:
        runs = [a_run(f"r{number}") for number in range(6)]
        mounted: dict[str, Mount] = {}

        def work(run: RecordedRun) -> None:
            mounted[run.run.run_id] = mounter.mount(mount, run.run)

        threads = [threading.Thread(target=work, args=[run]) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert set(mounted) == {run.run.run_id for run in runs}
        first, *others = runs
        mounter.unmount(mounted[first.run.run_id], first.run)
        for run in others:
            assert mounter.mount(mount, run.run) == mounted[run.run.run_id], "undoing one run's has hurt another's"
            mounter.unmount(mounted[run.run.run_id], run.run)

    def test_what_it_can_not_make_fails_the_task_in_a_sentence(self, mounter: Mounter, wrong_mount: Mount) -> None:
        with pytest.raises(RuntimeFailure) as failed:
            mount_with(mounter, wrong_mount, a_run().run)
        assert isinstance(failed.value.__cause__, RuntimeFailure), "it raised something unexpected"
        assert len(str(failed.value).splitlines()) == 1


def a_run(run_id: str = "r1") -> RecordedRun:
    """A run of a task that has nothing but its name."""
    return RecordedRun(TaskDefinition(name="t"), run_id=run_id)
