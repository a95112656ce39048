"""What streams tell, apart from how it travels: `tests/integration/api` has the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.api_fakes import a_job, a_task, ended, events_of
from tork.errors import BrokerUnavailable, DatastoreUnavailable
from tork.job import JobState
from tork.task import TaskState
from torkd.api.showing import Showing
from torkd.api.streams import EverythingFeed, Feed, JobFeed, LogFeed
from torkd.broker.messages import JobTouched, LiveChanges
from torkd.hooks.redact import Redactor

if TYPE_CHECKING:
    from tests.unit.api.conftest import Api


@pytest.fixture
def showing(api: Api) -> Showing:
    return Showing(api.reading, Redactor())


def test_a_stream_of_an_ended_job_tells_its_tasks_the_job_and_the_end(api: Api) -> None:
    api.reading.put(a_task(state=TaskState.COMPLETED, result="hunter2"))
    api.reading.put(ended(a_job(secrets={"k": "hunter2"}, result="hunter2")))
    answer = api.get("/jobs/j1/events")
    assert answer.headers["content-type"] == "text/event-stream"
    events = events_of(answer.content)
    assert [(kind, event_id) for kind, _, event_id in events] == [("task", ""), ("job", "2"), ("end", "2")]
    assert [document["result"] for _, document, _ in events] == ["[REDACTED]"] * 3
    assert events[2][1]["state"] == "COMPLETED"


def test_a_resumed_stream_tells_only_what_changed_since(api: Api, showing: Showing) -> None:
    api.reading.put(a_job())
    api.reading.put(a_task("old"))
    api.reading.put(a_task("new"))
    feed = JobFeed(api.reading, showing, job_id="j1", after="2")
    events = events_of(feed.read().data)
    assert [(kind, document["id"], event_id) for kind, document, event_id in events] == [
        ("task", "new", ""),
        ("job", "j1", "3"),
    ]
    assert feed.read().data == b""
    assert not feed.job_touched("j1", 3)
    assert feed.job_touched("j1", 4)


@pytest.mark.parametrize("after", ["99", "nonsense"])
def test_a_stream_that_can_not_be_resumed_starts_over(api: Api, showing: Showing, after: str) -> None:
    api.reading.put(a_job())
    feed = JobFeed(api.reading, showing, job_id="j1", after=after)
    told = feed.read()
    if told.again_in == 0:
        told = feed.read()
    assert [kind for kind, _, _ in events_of(told.data)] == ["reset", "job"]


def test_a_stream_goes_on_until_the_end_comes(api: Api, showing: Showing) -> None:
    api.reading.put(a_job())
    feed = JobFeed(api.reading, showing, job_id="j1", after="")
    assert not feed.read().ended
    api.reading.put(ended(a_job(), JobState.FAILED))
    told = feed.read()
    assert told.ended
    assert [(kind, document["state"]) for kind, document, _ in events_of(told.data)] == [
        ("job", "FAILED"),
        ("end", "FAILED"),
    ]


def test_the_stream_of_everything_tells_what_is_touched(api: Api, showing: Showing) -> None:
    api.reading.put(a_job("j0"))
    feed = EverythingFeed(api.reading, showing, after="")
    assert events_of(feed.read().data) == []
    for job in (a_job("j1"), a_job("j2", secrets={"k": "hunter2"}, error="hunter2")):
        api.reading.put(job, quietly=True)
        feed.job_touched(job.id, 1)
    feed.job_touched("deleted", 4)
    events = events_of(feed.read().data)
    assert [(kind, document["id"], event_id) for kind, document, event_id in events] == [
        ("job", "j1", "1"),
        ("job", "j2", "1"),
    ]
    assert events[1][1]["error"] == "[REDACTED]"
    assert feed.read().data == b""


def test_the_stream_of_everything_resets_when_resumed_or_when_something_was_missed(api: Api, showing: Showing) -> None:
    feed = EverythingFeed(api.reading, showing, after="7")
    assert [kind for kind, _, _ in events_of(feed.read().data)] == ["reset"]
    assert feed.read().data == b""
    feed.missed()
    assert [kind for kind, _, _ in events_of(feed.read().data)] == ["reset"]


def test_a_failed_reading_of_everything_loses_nothing(api: Api, showing: Showing) -> None:
    api.reading.put(a_job("j1"), quietly=True)
    feed = EverythingFeed(api.reading, showing, after="7")
    feed.job_touched("j1", 1)
    api.reading.failure = DatastoreUnavailable("away")
    with pytest.raises(DatastoreUnavailable):
        feed.read()
    api.reading.failure = None
    assert [kind for kind, _, _ in events_of(feed.read().data)] == ["reset", "job"]


@pytest.mark.parametrize("path", ["/jobs/j1", "/tasks/t1"])
def test_a_log_stream_tells_every_part_and_the_end(api: Api, path: str) -> None:
    api.reading.put(ended(a_job(secrets={"k": "hunter2"})))
    api.reading.put(a_task(state=TaskState.COMPLETED))
    api.reading.print("j1", "t1", 1, "one hunter2")
    api.reading.print("j1", "t1", 2, "two")
    events = events_of(api.get(f"{path}/log/stream").content)
    assert [(kind, document.get("contents"), event_id) for kind, document, event_id in events] == [
        ("log", "one [REDACTED]", "r1:1"),
        ("log", "two", "r1:2"),
        ("end", None, ""),
    ]
    assert events[2][1] == {"state": "COMPLETED"}
    resumed = events_of(api.get(f"{path}/log/stream", headers={"Last-Event-ID": "r1:1"}).content)
    assert [event_id for _, _, event_id in resumed] == ["r1:2", ""]
    lost = events_of(api.get(f"{path}/log/stream", headers={"Last-Event-ID": "r9:1"}).content)
    assert [kind for kind, _, _ in lost] == ["reset", "log", "log", "end"]


def test_a_long_log_comes_in_several_readings(api: Api, showing: Showing) -> None:
    api.reading.put(ended(a_job()))
    for number in range(1, 121):
        api.reading.print("j1", "t1", number, "x")
    feed = LogFeed(api.reading, showing, job_id="j1")
    told = [feed.read(), feed.read(), feed.read()]
    assert [len(events_of(part.data)) for part in told] == [50, 50, 21]
    assert [part.again_in for part in told] == [0, 0, None]
    assert told[2].ended


def test_announced_parts_are_waited_for_as_long_as_some_come_but_not_for_ever(api: Api, showing: Showing) -> None:
    now = [100.0]
    api.reading.put(ended(a_job()))
    api.reading.complete_logs = False
    feed = LogFeed(api.reading, showing, job_id="j1", clock=lambda: now[0])
    assert feed.read().again_in == 25.0
    now[0] += 20
    api.reading.print("j1", "t1", 1, "late")
    told = feed.read()
    assert (told.again_in, told.ended, len(events_of(told.data))) == (25.0, False, 1)
    now[0] += 20
    assert feed.read().again_in == 5.0
    now[0] += 5
    told = feed.read()
    assert told.ended
    assert b": a part of this log is missing" in told.data
    assert events_of(told.data) == [("end", {"state": "COMPLETED", "incomplete": True}, "")]


def test_a_doorbell_wakes_only_whom_it_concerns(api: Api, showing: Showing) -> None:
    from torkd.api.streams import Doorbell

    doorbell = Doorbell(api.broker, api.reading.versions_of)
    woken: list[str] = []
    feeds: dict[str, Feed] = {
        "job": JobFeed(api.reading, showing, job_id="j1", after="3"),
        "other": JobFeed(api.reading, showing, job_id="j2", after=""),
        "log": LogFeed(api.reading, showing, job_id="j1"),
        "task": LogFeed(api.reading, showing, job_id="j1", task_id="t1"),
        "all": EverythingFeed(api.reading, showing, after=""),
    }
    for name, feed in feeds.items():
        doorbell.add(feed, lambda name=name: woken.append(name))  # type: ignore[misc] # the loop's name
    doorbell.ring(LiveChanges(jobs=[JobTouched("j1", 3)]))
    assert woken == ["log", "task", "all"]
    woken.clear()
    api.reading.versions["j1"] = 4
    doorbell.check_versions()
    assert woken == ["job", "log", "task", "other"]
    woken.clear()
    doorbell.ring(None)
    assert sorted(woken) == sorted(feeds)
    doorbell.remove(feeds["log"])
    woken.clear()
    api.reading.print("j1", "t2", 1, "x")
    assert woken == []
    doorbell.close()


def test_whoever_waits_in_a_thread_stops_with_the_doorbell(api: Api) -> None:
    import threading

    api.reading.put(a_job())
    bodies: list[bytes] = []
    follower = threading.Thread(target=lambda: bodies.append(api.get("/jobs/j1/events").content))
    follower.start()
    limit = 2000
    while not api.reading.reads and limit:
        limit -= 1
        follower.join(0.01)
    api.streams.close()
    follower.join(10)
    assert [kind for kind, _, _ in events_of(bodies[0])] == ["job"]


def test_a_broker_that_is_away_is_told_before_the_stream_begins(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(listener: object) -> None:
        raise BrokerUnavailable("the broker does not answer")

    api.reading.put(a_job())
    monkeypatch.setattr(api.broker, "subscribe", refuse)
    answer = api.get("/jobs/j1/events")
    assert (answer.status_code, answer.json) == (503, {"message": "the broker does not answer"})
