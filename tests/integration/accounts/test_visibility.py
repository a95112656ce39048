"""Who sees which jobs: in lists, their totals and searches, in streams, and in what jobs start."""

from __future__ import annotations

import pytest

from tests.support.account_world import OPEN, World, restricted
from tests.support.engine_running import RunningEngine, new_id
from tests.support.statement_counting import counted_statements
from torkd.api.showing import Showing
from torkd.api.streams import EverythingFeed
from torkd.datastore.account_protocol import Viewer
from torkd.hooks.redact import Redactor

pytestmark = pytest.mark.postgres


@pytest.fixture
def jobs(world: World) -> dict[str, str]:
    """Four jobs of `creator` with a tag of their own."""
    tag = new_id()
    made = {
        "open": world.submit("creator", OPEN | {"tags": [tag]}),
        "crew": world.submit("creator", restricted({"role": "crew"}, tags=[tag])),
        "other": world.submit("creator", restricted({"user": "other"}, tags=[tag])),
        "both": world.submit("creator", restricted({"user": "other"}, {"role": "crew"}, {"role": "crew"}, tags=[tag])),
    }
    return made | {"tag": tag}


SEEN = {
    "creator": {"open", "crew", "other", "both"},
    "admin": {"open", "crew", "other", "both"},
    "member": {"open", "crew", "both"},
    "other": {"open", "other", "both"},
}


@pytest.mark.parametrize("who", SEEN)
def test_a_list_and_its_total_have_what_may_be_seen(world: World, jobs: dict[str, str], who: str) -> None:
    found = world.ask(who, "GET", f"/jobs?tag={jobs['tag']}").json
    assert {job["id"] for job in found["items"]} == {jobs[name] for name in SEEN[who]}
    assert found["totalItems"] == len(SEEN[who])
    pages = [world.ask(who, "GET", f"/jobs?tag={jobs['tag']}&size=2&page={page}").json for page in (1, 2)]
    assert [job["id"] for page in pages for job in page["items"]] == [job["id"] for job in found["items"]]
    searched = world.ask(who, "GET", f"/jobs?tag={jobs['tag']}&q=restricted&state=SCHEDULED,RUNNING,PENDING").json
    assert {job["id"] for job in searched["items"]} == {jobs[name] for name in SEEN[who]} - {jobs["open"]}
    by_id = world.ask(who, "GET", f"/jobs?idPrefix={jobs['crew']}").json
    assert by_id["totalItems"] == ("crew" in SEEN[who])


def test_a_list_takes_no_more_statements_for_a_user_than_for_an_admin(world: World, jobs: dict[str, str]) -> None:
    def statements(who: str) -> int:
        world.status(who, "GET", "/jobs")
        with counted_statements() as counted:
            world.status(who, "GET", "/jobs?size=20")
        return len(counted)

    assert statements("member") <= statements("admin")


def test_permissions_are_shown_as_they_were_given(world: World, jobs: dict[str, str]) -> None:
    shown = world.ask("member", "GET", f"/jobs/{jobs['both']}").json["permissions"]
    assert [permission.get("user", permission.get("role")) for permission in shown] == [
        world.ask("admin", "GET", "/users/other").json,
        world.ask("admin", "GET", "/roles/crew").json,
    ]
    assert "permissions" not in world.ask("admin", "GET", f"/jobs/{jobs['open']}").json


def test_a_job_that_was_submitted_twice_is_the_owners_in_both_answers(world: World) -> None:
    job = restricted({"user": "member"})
    first = world.ask("creator", "POST", "/jobs", job, Idempotency_Key="once")
    again = world.ask("creator", "POST", "/jobs", job, Idempotency_Key="once")
    assert first.json["id"] == again.json["id"]
    assert first.json["createdBy"]["username"] == "creator"
    stranger = world.ask("other", "POST", "/jobs", job, Idempotency_Key="once")
    assert stranger.status_code == 200
    assert stranger.json["id"] != first.json["id"]


@pytest.mark.parametrize("detached", [False, True], ids=["attached", "detached"])
def test_sub_jobs_are_seen_by_whom_their_root_is_seen(world: World, detached: bool) -> None:
    inner = {"name": "inner", "subjob": {"name": "innermost", "tasks": [{"name": "t", "run": "true"}]}}
    outer = {"name": "outer", "subjob": {"name": "sub", "detached": detached, "tasks": [inner]}}
    job_id = world.submit("creator", restricted({"role": "crew"}) | {"tasks": [outer]})
    sub = world.ask("admin", "GET", f"/jobs/{job_id}").json["execution"][0]["subjob"]["id"]
    innermost = world.ask("admin", "GET", f"/jobs/{sub}").json["execution"][0]["subjob"]["id"]
    for below in (sub, innermost):
        seen = {who: world.status(who, "GET", f"/jobs/{below}") for who in ("member", "creator", "other")}
        assert seen == {"member": 200, "creator": 200, "other": 404}
        assert world.ask("other", "GET", f"/jobs?idPrefix={below}").json["totalItems"] == 0


def test_later_sub_jobs_inherit_from_what_is_stored(world: World) -> None:
    """The parent is loaded from the database when its second step starts a sub-job."""
    subjob = {"name": "second", "subjob": {"name": "sub", "tasks": [{"name": "t", "run": "true"}]}}
    job = restricted({"role": "crew"}) | {"tasks": [{"name": "first", "run": "true"}, subjob]}
    job_id = world.submit("creator", job)
    with RunningEngine(world.datastore) as engine:
        engine.start_worker()
        engine.wait_for(job_id)
    sub = world.ask("admin", "GET", f"/jobs/{job_id}").json["execution"][-1]["subjob"]["id"]
    assert [world.status(who, "GET", f"/jobs/{sub}") for who in ("member", "creator", "other")] == [200, 200, 404]


def test_a_stream_of_everything_tells_what_may_be_seen(world: World, jobs: dict[str, str]) -> None:
    def told(viewer: Viewer | None) -> str:
        showing = Showing(world.datastore, Redactor())
        feed = EverythingFeed(world.datastore, showing, after="", viewer=viewer)
        for name in ("open", "crew", "other", "both"):
            feed.job_touched(jobs[name], 1)
        return feed.read().data.decode()

    everything, of_other = told(None), told(Viewer(user_id=world.ids["other"]))
    assert [name for name in SEEN["admin"] if jobs[name] not in everything] == []
    assert {name for name in SEEN["admin"] if jobs[name] in of_other} == SEEN["other"]


def test_a_stream_asks_once_about_a_job_that_it_may_not_tell(world: World, jobs: dict[str, str]) -> None:
    viewer = Viewer(user_id=world.ids["other"])
    feed = EverythingFeed(world.datastore, Showing(world.datastore, Redactor()), after="", viewer=viewer)
    assert feed.job_touched(jobs["crew"], 1)
    feed.read()
    with counted_statements() as statements:
        assert not feed.job_touched(jobs["crew"], 2)
        feed.read()
    assert statements == []
    assert feed.job_touched(jobs["other"], 2)


def test_a_permission_that_names_nobody_is_refused_and_nothing_is_stored(world: World) -> None:
    before = world.ask("admin", "GET", "/jobs").json["totalItems"]
    answer = world.ask("creator", "POST", "/jobs", restricted({"user": "nobody"}, {"role": "nope"}))
    assert (answer.status_code, answer.json["message"]) == (
        400,
        "permissions[0].user: there is no user 'nobody'\npermissions[1].role: there is no role 'nope'",
    )
    assert world.ask("admin", "GET", "/jobs").json["totalItems"] == before
