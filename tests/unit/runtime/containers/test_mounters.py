"""An operator's mounter and what becomes of its errors."""

from __future__ import annotations

import logging

import pytest

from tests.support.runs import RecordedRun
from tork.errors import RuntimeFailure
from tork.task import Mount, TaskDefinition
from torkd.runtime.containers.mounters import mount_with
from torkd.runtime.protocol import TaskRun

ASKED = Mount(type="own", source="s", target="/a", opts={"k": "v"})


class Mounter:
    """Gives a bind of the source, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def mount(self, mount: Mount, run: TaskRun) -> Mount:
        if self.error:
            raise self.error
        return Mount(type="bind", source=f"/mnt/{run.run_id}/{mount.source}", target=mount.target)

    def unmount(self, mounted: Mount, run: TaskRun) -> None:
        """Nothing was made."""


def mount_of(mounter: Mounter) -> Mount:
    return mount_with(mounter, ASKED, RecordedRun(TaskDefinition(name="t")).run)


def test_a_mounter_sees_the_mount_and_the_run() -> None:
    assert mount_of(Mounter()) == Mount(type="bind", source="/mnt/r1/s", target="/a")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeFailure("no such share"), "mount of type own failed: no such share"),
        (OSError(2, "No such file"), "mount of type own failed: [Errno 2] No such file"),
        (ValueError("two\n  lines"), "mount of type own failed: two lines"),
        (KeyError(), "mount of type own failed: KeyError"),
    ],
    ids=["expected", "of the system", "two lines", "without a text"],
)
def test_its_failure_is_one_sentence(error: Exception, text: str) -> None:
    with pytest.raises(RuntimeFailure) as failed:
        mount_of(Mounter(error))
    assert str(failed.value) == text


def test_an_unexpected_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeFailure):
        mount_of(Mounter(ZeroDivisionError("bug")))
    (record,) = caplog.records
    assert record.getMessage() == "the mounter of type own failed for run r1"
    assert record.exc_info
