from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.container_play import an_equipment
from tests.support.fake_engine import FakeEngine
from torkd.runtime.containers.engine import EngineError
from torkd.runtime.containers.equipment import DirectoriesUnseen

OURS = Path("/data/runs/n1/r1")
NO_INIT = 'OCI runtime create failed: exec: "docker-init": executable file not found in $PATH'
NO_SOURCE = f"invalid mount config for type bind: bind source path does not exist: {OURS}/main"


@pytest.mark.parametrize(
    ("error", "has_init", "sees"),
    [
        pytest.param(EngineError(NO_INIT), False, True, id="no init process"),
        pytest.param(EngineError(NO_SOURCE), True, False, id="a directory that is not there"),
        pytest.param(DirectoriesUnseen("Docker does not see them"), True, False, id="another one in its place"),
    ],
)
def test_an_engine_that_lacks_something_is_tried_without_it(error: EngineError, has_init: bool, sees: bool) -> None:
    equipment = an_equipment(FakeEngine("bb"))
    assert equipment.learn(error, OURS)
    assert (equipment.has_init, equipment.sees_our_directories) == (has_init, sees)


@pytest.mark.parametrize("text", [NO_INIT, NO_SOURCE], ids=["no init process", "a directory that is not there"])
def test_two_runs_that_learn_the_same_are_both_tried_again(text: str) -> None:
    equipment = an_equipment(FakeEngine("bb"))
    assert [equipment.learn(EngineError(text), OURS) for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    "text", ["no space left on device", "bind source path does not exist: /srv/of/the/task"], ids=["else", "not ours"]
)
def test_of_other_errors_nothing_is_learned(text: str) -> None:
    equipment = an_equipment(FakeEngine("bb"))
    assert not equipment.learn(EngineError(text), OURS)
    assert (equipment.has_init, equipment.sees_our_directories) == (True, True)


def test_a_container_that_has_another_directory_than_ours_is_noticed_once() -> None:
    engine = FakeEngine("bb")
    engine.create_container("c", {"Image": "bb"})
    equipment = an_equipment(engine)
    with pytest.raises(DirectoriesUnseen, match="does not see the directories of torkd"):
        equipment.prove_directories("c", "/tork/stdout")
    equipment.directories_are_proven = True
    equipment.prove_directories("c", "/tork/stdout")


def test_an_engine_with_selinux_gets_copies() -> None:
    engine = FakeEngine("bb")
    engine.selinux = True
    equipment = an_equipment(engine)
    with pytest.raises(DirectoriesUnseen, match=r"^SELinux keeps containers of Docker from the directories of torkd$"):
        equipment.prove_directories("c", "/tork/stdout")
