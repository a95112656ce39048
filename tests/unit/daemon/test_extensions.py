"""Components by name, registered by a program or by an installed package."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from tork.errors import StartError
from tork.task import Mount
from torkd import extensions
from torkd.broker.memory import MemoryBroker
from torkd.extensions import Extensions
from torkd.middleware import JobMiddleware, LogMiddleware, NodeMiddleware, TaskMiddleware
from torkd.runtime.fake import FakeRuntime
from torkd.runtime.protocol import TaskRun


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


class NoMounter:
    """Gives the mount back; `section` is what it was made from."""

    def __init__(self, section: Mapping[str, Any]) -> None:
        self.section = section

    def mount(self, mount: Mount, run: TaskRun) -> Mount:
        return mount

    def unmount(self, mounted: Mount, run: TaskRun) -> None:
        """Nothing was made."""


def test_a_mounter_belongs_to_its_runtime_and_gets_its_section() -> None:
    known = Extensions()
    known.register_mounter("docker", "nfs", NoMounter)
    known.register_mounter("docker", "s3", NoMounter)
    known.register_mounter("podman", "smb", NoMounter)
    mounters = known.make_mounters("docker", {"mounter.nfs": {"server": "a"}, "broker.nfs": {"x": 1}})
    assert {name: vars(mounter) for name, mounter in mounters.items()} == {
        "nfs": {"section": {"server": "a"}},
        "s3": {"section": {}},
    }


@pytest.mark.parametrize("built_in", ["volume", "bind", "tmpfs"])
def test_a_built_in_type_of_mounts_stays_what_it_is(built_in: str) -> None:
    with pytest.raises(
        StartError, match=rf"^a mounter of type '{built_in}' can't be registered: that type is built in"
    ):
        Extensions().register_mounter("docker", built_in, NoMounter)


def test_a_mounter_that_can_not_be_made_is_named() -> None:
    known = Extensions()
    known.register_mounter("docker", "nfs", lambda section: NoMounter({"server": section["server"]}))
    with pytest.raises(StartError, match=r"^the mounter of type 'nfs' can't be made: 'server'$"):
        known.make_mounters("docker", {})


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


REGISTRATIONS: dict[str, tuple[Any, ...]] = {
    "register_runtime": ("x", lambda _: FakeRuntime()),
    "register_broker": ("x", lambda _: MemoryBroker()),
    "register_datastore": ("x", lambda _: None),
    "register_mounter": ("docker", "nfs", NoMounter),
    "register_endpoint": ("GET", "/x", print),
    "register_web_middleware": (lambda app: app,),
    "register_job_middleware": (type("J", (JobMiddleware,), {"changed": print})(),),
    "register_task_middleware": (type("T", (TaskMiddleware,), {"changed": print})(),),
    "register_node_middleware": (type("N", (NodeMiddleware,), {"seen": print})(),),
    "register_log_middleware": (type("L", (LogMiddleware,), {"printed": print})(),),
}


def test_every_registration_is_tried_here() -> None:
    assert {name for name in dir(Extensions) if name.startswith("register_")} == set(REGISTRATIONS)


@pytest.mark.parametrize("name", REGISTRATIONS)
def test_nothing_is_registered_once_the_engine_starts(name: str) -> None:
    known = Extensions()
    getattr(known, name)(*REGISTRATIONS[name])
    known.seal()
    with pytest.raises(StartError, match=rf"^{name} was called after the engine was started"):
        getattr(known, name)(*REGISTRATIONS[name])


BUILT_IN = {
    "runtime": ("shell", "docker", "podman", "auto"),
    "broker": ("inmemory", "rabbitmq"),
    "datastore": ("postgres",),
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in BUILT_IN.items() for name in names])
def test_nothing_takes_the_place_of_what_is_built_in(kind: str, name: str) -> None:
    known = Extensions()
    with pytest.raises(StartError, match=rf"^the {kind} '{name}' can't be registered: that name is built in"):
        getattr(known, f"register_{kind}")(name, pytest.fail)


@pytest.mark.parametrize("kind", ["runtime", "broker", "datastore", "mounter"])
def test_nothing_takes_the_place_of_what_another_plugin_has_registered(kind: str) -> None:
    known = Extensions()
    getattr(known, f"register_{kind}")(*REGISTRATIONS[f"register_{kind}"])
    with pytest.raises(StartError, match=rf"^the {kind} .* is registered twice"):
        getattr(known, f"register_{kind}")(*REGISTRATIONS[f"register_{kind}"])


@pytest.mark.parametrize("kind", ["job", "task", "node", "log"])
def test_middleware_without_a_method_of_its_kind_is_refused(kind: str) -> None:
    class Misspelt:
        def printet(self, text: str) -> str:
            return text

    with pytest.raises(StartError, match=rf"Misspelt can't be registered as {kind} middleware: it has none of "):
        getattr(Extensions(), f"register_{kind}_middleware")(Misspelt())


def test_an_object_that_is_no_web_middleware_is_refused() -> None:
    with pytest.raises(StartError, match=r"^object can't be registered as web middleware: right would be"):
        Extensions().register_web_middleware(object())


def test_without_anything_registered_nothing_is_called() -> None:
    known = Extensions()
    hooks = known.run_hooks()
    called = (known.told(), known.shown(), known.submitted(), hooks.before_run, hooks.after_run, hooks.printed)
    assert not any(called)
