"""Documents that a newer version stored can still be read."""

from __future__ import annotations

import msgspec
import pytest

from tork.task import Each, Parallel, TaskDefinition
from tork.wire import StoredDecoder


def test_a_document_of_this_version_is_read_as_it_is() -> None:
    assert StoredDecoder(TaskDefinition).decode('{"name": "a", "env": {"X": "1"}}') == TaskDefinition(
        name="a", env={"X": "1"}
    )


def test_what_this_version_does_not_know_is_left_out_at_any_depth() -> None:
    document = (
        '{"name": "a", "new": {"x": [1]}, "parallel": {"newer": 1, "tasks": [{"name": "b"}, {"name": "c", "newest": null}]},'
        ' "each": {"list": "[1]", "task": {"run": "true", "n`e": 1}}}'
    )
    assert StoredDecoder(TaskDefinition).decode(document) == TaskDefinition(
        name="a",
        parallel=Parallel(tasks=[TaskDefinition(name="b"), TaskDefinition(name="c")]),
        each=Each(list="[1]", task=TaskDefinition(run="true")),
    )


@pytest.mark.parametrize("document", ['{"name": 1}', '{"new": 1, "priority": "x"}'], ids=["wrong type", "both"])
def test_a_wrong_document_is_still_refused(document: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected"):
        StoredDecoder(TaskDefinition).decode(document)
