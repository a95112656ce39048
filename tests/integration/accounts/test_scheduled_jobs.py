"""Permissions of a scheduled job hold for it and for every job that it starts, which are its creator's; acts are written down."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.account_world import World, restricted
from torkd.datastore.account_protocol import AuditQuery

pytestmark = pytest.mark.postgres


def scheduled(name: str, *permissions: dict[str, str]) -> dict[str, Any]:
    return restricted(*permissions, name=name, schedule={"cron": "@every 1000h"})


def add(world: World, who: str, body: dict[str, Any]) -> str:
    answer = world.ask(who, "POST", "/scheduled-jobs", body)
    assert answer.status_code == 200, answer.text
    return str(answer.json["id"])


def names(world: World, who: str) -> set[str]:
    """What somebody finds in the list."""
    return {item["name"] for item in world.ask(who, "GET", "/scheduled-jobs?size=20").json["items"]}


def test_a_list_has_what_each_may_see(world: World) -> None:
    add(world, "creator", scheduled("of everybody"))
    add(world, "creator", scheduled("of the crew", {"role": "crew"}))
    add(world, "creator", scheduled("of other", {"user": "other"}))
    seen = {who: names(world, who) for who in ("creator", "member", "other", "admin")}
    assert seen["creator"] == seen["admin"] == {"of everybody", "of the crew", "of other"}
    assert seen["member"] == {"of everybody", "of the crew"}
    assert seen["other"] == {"of everybody", "of other"}


def test_its_permissions_are_told_with_their_accounts(world: World) -> None:
    schedule_id = add(world, "creator", scheduled("told", {"role": "crew"}, {"user": "other"}))
    told = world.ask("creator", "GET", f"/scheduled-jobs/{schedule_id}").json
    assert told["createdBy"]["username"] == "creator"
    role, user = told["permissions"]
    assert (role["role"]["slug"], user["user"]["username"]) == ("crew", "other")


def test_its_jobs_are_its_creators_and_are_seen_by_the_same(world: World) -> None:
    schedule_id = add(world, "creator", scheduled("kept", {"role": "crew"}))
    started = world.ask("member", "PUT", f"/scheduled-jobs/{schedule_id}/run").json["id"]
    assert world.datastore.get_summary(started).created_by == world.datastore.get_schedule(schedule_id).created_by
    assert world.ask("member", "GET", f"/jobs?schedule={schedule_id}").json["totalItems"] == 1
    assert world.ask("other", "GET", f"/jobs?schedule={schedule_id}").json["totalItems"] == 0
    assert [world.status(who, "GET", f"/jobs/{started}") for who in ("other", "member", "creator")] == [404, 200, 200]


def test_permissions_that_name_nobody_are_refused(world: World) -> None:
    answer = world.ask("creator", "POST", "/scheduled-jobs", scheduled("lost", {"role": "nope"}))
    assert (answer.status_code, answer.json) == (400, {"message": "permissions[0].role: there is no role 'nope'"})


def test_who_did_what_is_written_down(world: World) -> None:
    schedule_id = add(world, "creator", scheduled("written", {"role": "crew"}))
    for method, path in [("PUT", "/pause"), ("PUT", "/resume"), ("PUT", "/run"), ("DELETE", "")]:
        world.ask("member", method, f"/scheduled-jobs/{schedule_id}{path}")
    entries = world.datastore.list_audit(AuditQuery(target=schedule_id), page=1, size=10).items
    assert [(entry.action, entry.username) for entry in reversed(entries)] == [
        ("schedule.submit", "creator"),
        ("schedule.pause", "member"),
        ("schedule.resume", "member"),
        ("schedule.run", "member"),
        ("schedule.delete", "member"),
    ]


@pytest.mark.parametrize(
    ("method", "body"), [("PUT", {"disabled": True}), ("DELETE", None)], ids=["disabled", "deleted"]
)
def test_it_goes_on_when_the_account_of_its_creator_does_not(
    world: World, method: str, body: dict[str, Any] | None
) -> None:
    who = f"leaver-{method.lower()}"
    user_id = world.add_user(who)
    schedule_id = add(world, who, scheduled("left", {"role": "crew"}))
    answer = world.ask("admin", method, f"/users/{user_id}", body)
    assert answer.status_code in {200, 204}, answer.text
    started = world.ask("admin", "PUT", f"/scheduled-jobs/{schedule_id}/run")
    assert started.status_code == 200, started.text
    assert world.ask("admin", "GET", f"/scheduled-jobs/{schedule_id}").json["createdBy"]["username"] == who
    assert world.status("member", "GET", f"/jobs/{started.json['id']}") == 200
    assert world.status("admin", "DELETE", f"/scheduled-jobs/{schedule_id}") == 200
