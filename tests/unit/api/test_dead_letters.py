"""Messages that could not be handled: listed, shown without secrets, replayed and removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.api_fakes import NOON, a_job
from torkd.broker.messages import Heartbeat, LogPrinted, RunClaimed, RunEnded, RunOutcome, RunReference
from torkd.broker.protocol import EventConsumer
from torkd.broker.queues import COMPLETED, ERROR, HEARTBEAT, LOGS, STARTED
from torkd.hooks.redact import REDACTED, Redactor

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api

SECRET = "correct-horse"
RUN: dict[str, Any] = {"task_id": "t1", "job_id": "j1", "root_id": "j1", "dispatch": 1, "run_id": "r1"}
OF_WORKER: dict[str, Any] = {**RUN, "node_id": "n1", "lease_id": "l1", "started_at": NOON}


def an_end(**fields: Any) -> RunEnded:
    return RunEnded(**OF_WORKER | {"outcome": RunOutcome.COMPLETED, "ended_at": NOON} | fields)


def bury(api: Api, *messages: Any, reason: str = "it makes no sense") -> list[str]:
    """The ids under which they are among the dead, the oldest first."""
    reader: EventConsumer = api.broker.consume_events([STARTED, COMPLETED, ERROR, LOGS, HEARTBEAT])
    for message in messages:
        api.broker.publish_events([message])
        (delivery,) = reader.receive(1, 5)
        reader.bury(delivery, reason)
    reader.close()
    return [letter.id for letter in api.broker.dead_letters(1000)]


def body_of(api: Api, letter_id: str) -> Any:
    return json.loads(api.get(f"/queues/dead/{letter_id}").json["body"])


def test_dead_letters_are_listed_page_by_page_oldest_first(api: Api) -> None:
    ids = bury(api, *(RunClaimed(**OF_WORKER) for _ in range(5)))
    page = api.get("/queues/dead", params={"page": "2", "size": "2"}).json
    assert [letter["id"] for letter in page.pop("items")] == ids[2:4]
    assert page == {"number": 2, "size": 2, "totalPages": 3, "totalItems": 5}


def test_no_dead_letters_are_an_empty_page(api: Api) -> None:
    assert api.get("/queues/dead").json == {"items": [], "number": 1, "size": 0, "totalPages": 0, "totalItems": 0}


def test_a_page_beyond_all_is_empty_and_costs_nothing(api: Api) -> None:
    bury(api, RunClaimed(**OF_WORKER))
    page = api.get("/queues/dead", params={"page": "999999999"}).json
    assert (page["items"], page["totalItems"]) == ([], 1)


def test_a_dead_letter_tells_where_it_was_read_and_why_it_died(api: Api) -> None:
    (letter_id,) = bury(api, RunClaimed(**OF_WORKER))
    letter = api.get(f"/queues/dead/{letter_id}").json
    assert (letter["queue"], letter["reason"], letter["kind"]) == ("started", "it makes no sense", "claimed")
    assert letter["buriedAt"].endswith("Z")
    assert json.loads(letter["body"])["taskId"] == "t1"


def test_an_unknown_dead_letter_is_not_found(api: Api) -> None:
    for answer in (
        api.get("/queues/dead/nope"),
        api.client.simulate_delete("/queues/dead/nope"),
        api.client.simulate_post("/queues/dead/nope/replay"),
    ):
        assert (answer.status_code, answer.json) == (404, {"message": "dead letter nope not found"})


def test_a_replayed_letter_is_back_in_its_queue(api: Api) -> None:
    (letter_id,) = bury(api, RunClaimed(**OF_WORKER))
    assert api.client.simulate_post(f"/queues/dead/{letter_id}/replay").json == {"status": "OK"}
    assert api.get("/queues/dead").json["totalItems"] == 0
    assert api.get("/queues/started").json["size"] == 1


def test_one_letter_or_all_of_them_are_removed(api: Api) -> None:
    first, *others = bury(api, *(RunClaimed(**OF_WORKER) for _ in range(3)))
    assert api.client.simulate_delete(f"/queues/dead/{first}").json == {"status": "OK"}
    assert [letter["id"] for letter in api.get("/queues/dead").json["items"]] == others
    assert api.client.simulate_delete("/queues/dead").json == {"removed": 2}
    assert api.get("/queues/dead").json["items"] == []


def test_the_switch_of_queues_switches_dead_letters_off(api: Api) -> None:
    from torkd.api.options import ApiOptions

    api.serve(options=ApiOptions(groups=frozenset({"jobs"})))
    assert api.get("/queues/dead").status_code == 404


def test_the_secrets_of_the_job_are_hidden_in_body_and_reason(api: Api) -> None:
    api.reading.put(a_job(secrets={"pass": SECRET}))
    (letter_id,) = bury(api, an_end(result=f"got {SECRET}"), reason=f"can't store '{SECRET}'")
    letter = api.get(f"/queues/dead/{letter_id}").json
    assert SECRET not in json.dumps(letter)
    assert json.loads(letter["body"])["result"] == f"got {REDACTED}"
    assert letter["reason"] == f"can't store '{REDACTED}'"
    assert SECRET not in json.dumps(api.get("/queues/dead").json)


def test_what_a_message_says_of_a_job_that_is_gone_is_hidden(api: Api) -> None:
    run = {name: value for name, value in RUN.items() if name != "root_id"}
    part = LogPrinted(**run, number=1, contents=f"who knows: {SECRET}", printed_at=NOON)
    ids = bury(api, an_end(outcome=RunOutcome.FAILED, error=SECRET), part)
    assert [body_of(api, letter_id).get("error") for letter_id in ids] == [REDACTED, None]
    assert body_of(api, ids[1])["contents"] == REDACTED


def test_secrets_of_every_job_in_a_heartbeat_are_hidden(api: Api) -> None:
    api.reading.put(a_job("j1", secrets={"pass": SECRET}))
    api.reading.put(a_job("j2", secrets={"pass": "battery-staple"}))
    (node,) = api.reading.nodes()
    reports = [an_end(result=SECRET), an_end(job_id="j2", root_id="j2", result="battery-staple")]
    running = [RunReference(**RUN, started_at=NOON)]
    (letter_id,) = bury(api, Heartbeat(node=node, lease_id="l", running=running, unacknowledged=reports))
    assert [report["result"] for report in body_of(api, letter_id)["unacknowledged"]] == [REDACTED, REDACTED]


@pytest.mark.parametrize(("enabled", "shown"), [(True, REDACTED), (False, "{broken " + SECRET)])
def test_a_body_that_is_no_json_is_shown_only_where_nothing_is_hidden(api: Api, enabled: bool, shown: str) -> None:
    from msgspec.structs import replace

    bury(api, RunClaimed(**OF_WORKER))
    letters = [replace(letter, body="{broken " + SECRET) for letter in api.broker.dead_letters(1)]
    api.serve(redactor=Redactor(enabled=enabled))
    api.broker.dead_letters = lambda limit: letters  # type: ignore[method-assign] # the one answer this test is about
    assert api.get("/queues/dead").json["items"][0]["body"] == shown


def test_the_values_to_mask_in_a_task_are_hidden_wherever_they_are(api: Api) -> None:
    from msgspec.structs import replace

    bury(api, RunClaimed(**OF_WORKER))
    task = {"kind": "run", "jobId": "gone", "mask": [SECRET], "definition": {"env": {"A": f"x{SECRET}"}}}
    letters = [replace(letter, body=json.dumps(task)) for letter in api.broker.dead_letters(1)]
    api.broker.dead_letters = lambda limit: letters  # type: ignore[method-assign] # the one answer this test is about
    body = json.loads(api.get("/queues/dead").json["items"][0]["body"])
    assert body["mask"] == [REDACTED]
    assert body["definition"]["env"] == {"A": f"x{REDACTED}"}
