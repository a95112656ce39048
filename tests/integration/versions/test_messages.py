"""Messages of an earlier version, as they were recorded, mean today what they meant then; and those of a later one can be read."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest

from tests.support.recorded import read_message, recorded_messages
from tork import wire
from torkd.broker.messages import CoordinatorMessage, LiveChanges, NodeOrder, RunTask, kind_of

MESSAGES = recorded_messages()
IDS = [f"{number}-{message['kind']}" for number, message in enumerate(MESSAGES)]


@pytest.mark.parametrize("document", MESSAGES, ids=IDS)
def test_a_recorded_message_is_read_with_all_it_says(document: dict[str, Any]) -> None:
    message = read_message(document)
    assert kind_of(message) == document["kind"]
    assert message.v == 1, "what says no version is of the first"
    assert json.loads(wire.encode(message)).items() >= document.items()


@pytest.mark.parametrize("document", MESSAGES, ids=IDS)
def test_a_later_version_may_say_more_anywhere_in_it(document: dict[str, Any]) -> None:
    later = {**_with_more(document), "v": 2}
    read = read_message(later)
    assert read.v == 2
    assert msgspec.structs.replace(read, v=1) == read_message(document)


def test_every_kind_of_message_was_recorded() -> None:
    kinds = {RunTask, LiveChanges, *get_args(CoordinatorMessage), *get_args(NodeOrder)}
    assert {str(kind.__struct_config__.tag) for kind in kinds} == {message["kind"] for message in MESSAGES}


def _with_more(value: Any) -> Any:
    """The document with an unknown field in each of its objects, but for those whose keys are users' own."""
    match value:
        case dict():
            users = {"env", "files"}
            inner = {key: part if key in users else _with_more(part) for key, part in value.items()}
            return {**inner, "ofALaterVersion": {"x": [1]}}
        case list():
            return [_with_more(part) for part in value]
        case _:
            return value
