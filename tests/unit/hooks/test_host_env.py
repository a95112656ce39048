from __future__ import annotations

import pytest

from tork.errors import SettingsError
from tork.task import AuxTask, Sidecar, TaskDefinition
from torkd.hooks.host_env import HostVariable, parse_host_variables, with_host_variables


def test_a_name_and_a_name_with_an_alias_are_read() -> None:
    assert parse_host_variables(["A", "B:C"]) == (HostVariable("A", "A"), HostVariable("B", "C"))


@pytest.mark.parametrize("spec", ["a:b:c", "", ":a", "a:", "a=b"])
def test_another_form_is_refused(spec: str) -> None:
    with pytest.raises(SettingsError, match=f"^invalid env var spec: {spec} "):
        parse_host_variables([spec])


def test_main_pre_and_post_get_the_variables_and_sidecars_do_not() -> None:
    definition = TaskDefinition(
        env={"A": "own", "B": "own"},
        pre=[AuxTask(env={"C": "own"})],
        post=[AuxTask()],
        sidecars=[Sidecar(env={"A": "own"})],
    )
    got = with_host_variables(definition, parse_host_variables(["A", "X:Y", "UNSET"]), {"A": "1", "X": "2", "Z": "3"})
    host = {"A": "1", "Y": "2", "UNSET": ""}
    assert got.env == {**host, "B": "own"}
    assert got.pre[0].env == {**host, "C": "own"}
    assert got.post[0].env == host
    assert got.sidecars == definition.sidecars


def test_without_variables_nothing_is_copied() -> None:
    definition = TaskDefinition(env={"A": "1"})
    assert with_host_variables(definition, (), {"A": "2"}) is definition
