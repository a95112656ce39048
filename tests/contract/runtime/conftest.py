"""The runtimes the contract holds for. One joins by one more line in `ADAPTERS`, with the marker of what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.container_runtimes import WithImage, container_runtime
from tests.support.engines import ContainerEngine
from torkd.runtime.fake import FakeRuntime
from torkd.runtime.protocol import Runtime
from torkd.runtime.shell import ShellOptions, ShellRuntime
from torkd.testing import ScriptWords


class FakeWords(ScriptWords):
    """How a script says things to the fake runtime."""

    def prints(self, text: str) -> str:
        return f"print {text}\n"

    def outputs(self, text: str) -> str:
        return f"output {text}\n"

    def progresses(self, progress: float) -> str:
        return f"progress {progress}\n"

    def exits(self, code: int) -> str:
        return f"exit {code}\n"

    def sleeps(self, seconds: float) -> str:
        return f"sleep {seconds}\n"


@dataclass(frozen=True)
class Adapter:
    """A runtime and its language."""

    name: str
    make: Callable[[Path, pytest.FixtureRequest], Runtime]
    words: ScriptWords
    marks: tuple[pytest.MarkDecorator, ...] = ()


def _containers(path: Path, request: pytest.FixtureRequest, engine: str) -> Runtime:
    running: ContainerEngine = request.getfixturevalue(f"{engine}_engine")
    return WithImage(container_runtime(running, path, grace_seconds=0.5), "bb")


ADAPTERS = [
    Adapter("fake", lambda *_: FakeRuntime(), FakeWords()),
    Adapter(
        "shell",
        lambda path, _: ShellRuntime(ShellOptions(node_id="n1", temp_dir=path, grace_seconds=0.5)),
        ScriptWords(),
    ),
    Adapter(
        "docker",
        lambda path, request: _containers(path, request, "docker"),
        ScriptWords(),
        marks=(pytest.mark.docker,),
    ),
    Adapter(
        "podman",
        lambda path, request: _containers(path, request, "podman"),
        ScriptWords(),
        marks=(pytest.mark.podman,),
    ),
]


@pytest.fixture(params=[pytest.param(adapter, id=adapter.name, marks=adapter.marks) for adapter in ADAPTERS])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """One of the adapters."""
    found: Adapter = request.param
    return found
