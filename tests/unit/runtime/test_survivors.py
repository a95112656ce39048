"""Which processes hold a pipe: only those are signalled that a script has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from torkd.runtime.survivors import signal_holders_of

SLEEP = (sys.executable, "-c", "import time; time.sleep(60)")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_a_process_that_inherited_the_writing_end_is_signalled(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    heir = subprocess.Popen(SLEEP, pass_fds=(writer,), start_new_session=True)
    signal_holders_of(reader, signal.SIGTERM)
    assert heir.wait(10) == -signal.SIGTERM


def test_those_of_a_group_can_be_left_out(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    heir = subprocess.Popen(SLEEP, pass_fds=(writer,), start_new_session=True)
    signal_holders_of(reader, signal.SIGTERM, outside_group=heir.pid)
    heir.kill()
    assert heir.wait(10) == -signal.SIGKILL


def test_the_beginning_of_another_script_is_left_alone(pipe: tuple[int, int]) -> None:
    """Between fork and exec a child has every file of ours open, those of other scripts included."""
    reader, writer = pipe
    beginning = subprocess.Popen(SLEEP, pass_fds=(reader, writer), start_new_session=True)
    signal_holders_of(reader, signal.SIGTERM)
    beginning.kill()
    assert beginning.wait(10) == -signal.SIGKILL
