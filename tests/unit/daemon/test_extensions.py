"""Components by name, registered by a program or by an installed package."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from tork.errors import StartError
from torkd import extensions
from torkd.broker.memory import MemoryBroker
from torkd.extensions import Extensions
from torkd.runtime.fake import FakeRuntime


def offer(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    found = [EntryPoint(name="p", value=target, group="torkd.plugins")]
    monkeypatch.setattr(extensions, "entry_points", lambda group: found if group == "torkd.plugins" else [])


def register_all(known: Extensions) -> None:
    """What a plugin's entry point names."""
    known.register_runtime("noop", lambda _: FakeRuntime())
    known.register_broker("mine", lambda _: MemoryBroker())


def test_a_component_is_found_by_its_name() -> None:
    known = Extensions()
    register_all(known)
    assert isinstance(known.runtimes["noop"]({}), FakeRuntime)
    assert isinstance(known.brokers["mine"]({}), MemoryBroker)
    assert known.datastores == {}


def test_installed_plugins_register_what_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = ModuleType("a_plugin")
    plugin.register_all = register_all  # type: ignore[attr-defined] # modules take any attribute
    monkeypatch.setitem(sys.modules, "a_plugin", plugin)
    offer(monkeypatch, "a_plugin:register_all")
    known = Extensions()
    known.load_plugins()
    assert set(known.runtimes) == {"noop"}


@pytest.mark.parametrize(
    ("target", "reason"),
    [("no_such_module_of_ours:register", "No module named"), ("json:nothing", "nothing")],
    ids=["not importable", "no such function"],
)
def test_a_plugin_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, target: str, reason: str) -> None:
    offer(monkeypatch, target)
    with pytest.raises(StartError, match=rf"the plugin 'p' \({target}\) failed to register: .*{reason}"):
        Extensions().load_plugins()
