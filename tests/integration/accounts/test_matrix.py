"""Who may do what, as a table of every method of every route. A route that is not in it fails the last test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon.inspect
import pytest

from tests.support.account_world import PASSWORD, World, restricted
from torkd.api.permissions import RULES

pytestmark = pytest.mark.postgres

CALLERS = ("", "other", "member", "creator", "admin")
ALL = (200, 200, 200, 200, 200)
SIGNED_IN = (401, 200, 200, 200, 200)
SEES_THE_JOB = (401, 404, 200, 200, 200)
ADMIN = (401, 403, 403, 403, 200)


def scheduled() -> dict[str, Any]:
    """What becomes a scheduled job that `crew` may see."""
    return restricted({"role": "crew"}, schedule={"cron": "@every 1000h"})


class Scene:
    """What one request is about, made anew for each."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = 0

    def job(self) -> str:
        """A job of `creator` that `crew` may see."""
        return self._world.submit("creator", restricted({"role": "crew"}))

    def ended_job(self) -> str:
        job_id = self.job()
        self._world.coordinator.cancel(job_id)
        return job_id

    def schedule(self) -> str:
        """A scheduled job of `creator` that `crew` may see."""
        answer = self._world.ask("creator", "POST", "/scheduled-jobs", scheduled())
        return str(answer.json["id"])

    def paused_schedule(self) -> str:
        schedule_id = self.schedule()
        self._world.coordinator.pause_schedule(schedule_id)
        return schedule_id

    def task(self) -> str:
        return self._world.task_of(self.job())

    def letter(self) -> str:
        return self._world.bury()

    def name(self) -> str:
        self._number += 1
        return f"someone-{self._number}"

    def user(self) -> str:
        return self._world.datastore.get_user(self._world.add_user(self.name())).username

    def crew_member(self) -> str:
        return self._world.datastore.get_user(self._world.add_user(self.name(), "crew")).username

    def role(self) -> str:
        name = self.name()
        return self._world.datastore.create_role(name, name, name).slug

    def key(self) -> str:
        name = self.name()
        self._world.add_key(name)
        return name


Make = Callable[[Scene], tuple[str, Any]]
"""The path and the body of a request."""


def at(path: str, body: Any = None) -> Make:
    return lambda scene: (path, body)


def of(path: str, make: Callable[[Scene], str], body: Any = None) -> Make:
    return lambda scene: (path.format(make(scene)), body)


MATRIX: dict[tuple[str, str], tuple[Make, tuple[int, ...]]] = {
    ("GET", "/health"): (at("/health"), ALL),
    ("GET", "/openapi.json"): (at("/openapi.json"), SIGNED_IN),
    ("GET", "/docs"): (at("/docs"), SIGNED_IN),
    ("GET", "/jobs"): (at("/jobs"), SIGNED_IN),
    ("POST", "/jobs"): (at("/jobs", restricted({"role": "crew"})), SIGNED_IN),
    ("GET", "/jobs/{job_id}"): (of("/jobs/{}", Scene.job), SEES_THE_JOB),
    ("GET", "/jobs/{job_id}/log"): (of("/jobs/{}/log", Scene.job), SEES_THE_JOB),
    ("GET", "/jobs/{job_id}/log/stream"): (of("/jobs/{}/log/stream", Scene.job), SEES_THE_JOB),
    ("GET", "/jobs/{job_id}/events"): (of("/jobs/{}/events", Scene.job), SEES_THE_JOB),
    ("GET", "/jobs/{job_id}/webhooks"): (of("/jobs/{}/webhooks", Scene.job), SEES_THE_JOB),
    ("PUT", "/jobs/{job_id}/cancel"): (of("/jobs/{}/cancel", Scene.job), SEES_THE_JOB),
    ("PUT", "/jobs/{job_id}/restart"): (of("/jobs/{}/restart", Scene.ended_job), SEES_THE_JOB),
    ("PUT", "/jobs/{job_id}/retry"): (of("/jobs/{}/retry", Scene.ended_job, {"failed": True}), SEES_THE_JOB),
    ("GET", "/scheduled-jobs"): (at("/scheduled-jobs"), SIGNED_IN),
    ("POST", "/scheduled-jobs"): (at("/scheduled-jobs", scheduled()), SIGNED_IN),
    ("GET", "/scheduled-jobs/{schedule_id}"): (of("/scheduled-jobs/{}", Scene.schedule), SEES_THE_JOB),
    ("DELETE", "/scheduled-jobs/{schedule_id}"): (of("/scheduled-jobs/{}", Scene.schedule), SEES_THE_JOB),
    ("PUT", "/scheduled-jobs/{schedule_id}/pause"): (of("/scheduled-jobs/{}/pause", Scene.schedule), SEES_THE_JOB),
    ("PUT", "/scheduled-jobs/{schedule_id}/resume"): (
        of("/scheduled-jobs/{}/resume", Scene.paused_schedule),
        SEES_THE_JOB,
    ),
    ("PUT", "/scheduled-jobs/{schedule_id}/run"): (of("/scheduled-jobs/{}/run", Scene.schedule), SEES_THE_JOB),
    ("GET", "/scheduled-jobs/{schedule_id}/next"): (of("/scheduled-jobs/{}/next", Scene.schedule), SEES_THE_JOB),
    ("GET", "/events"): (at("/events"), SIGNED_IN),
    ("GET", "/tasks/{task_id}"): (of("/tasks/{}", Scene.task), SEES_THE_JOB),
    ("PUT", "/tasks/{task_id}/skip"): (of("/tasks/{}/skip", Scene.task, {"reason": "by hand"}), SEES_THE_JOB),
    ("GET", "/tasks/{task_id}/log"): (of("/tasks/{}/log", Scene.task), SEES_THE_JOB),
    ("GET", "/tasks/{task_id}/log/stream"): (of("/tasks/{}/log/stream", Scene.task), SEES_THE_JOB),
    ("GET", "/nodes"): (at("/nodes"), SIGNED_IN),
    ("GET", "/metrics"): (at("/metrics"), SIGNED_IN),
    ("GET", "/queues"): (at("/queues"), SIGNED_IN),
    ("GET", "/queues/{name}"): (at("/queues/default"), SIGNED_IN),
    ("DELETE", "/queues/{name}"): (at("/queues/default"), ADMIN),
    ("GET", "/queues/dead"): (at("/queues/dead"), ADMIN),
    ("DELETE", "/queues/dead"): (at("/queues/dead"), ADMIN),
    ("GET", "/queues/dead/{letter_id}"): (of("/queues/dead/{}", Scene.letter), ADMIN),
    ("DELETE", "/queues/dead/{letter_id}"): (of("/queues/dead/{}", Scene.letter), ADMIN),
    ("POST", "/queues/dead/{letter_id}/replay"): (of("/queues/dead/{}/replay", Scene.letter), ADMIN),
    ("GET", "/doctor"): (at("/doctor"), ADMIN),
    ("POST", "/doctor/fix"): (at("/doctor/fix?dryRun=true"), ADMIN),
    ("GET", "/users"): (at("/users"), ADMIN),
    ("POST", "/users"): (lambda scene: ("/users", {"username": scene.name(), "password": "long-enough"}), ADMIN),
    ("GET", "/users/{user}"): (of("/users/{}", Scene.user), (401, 404, 404, 404, 200)),
    ("PUT", "/users/{user}"): (of("/users/{}", Scene.user, {"name": "Ada"}), ADMIN),
    ("DELETE", "/users/{user}"): (of("/users/{}", Scene.user), ADMIN),
    ("PUT", "/users/{user}/password"): (
        of("/users/{}/password", Scene.user, {"password": PASSWORD}),
        (401, 404, 404, 404, 200),
    ),
    ("PUT", "/users/{user}/roles/{role}"): (of("/users/{}/roles/crew", Scene.user), ADMIN),
    ("DELETE", "/users/{user}/roles/{role}"): (of("/users/{}/roles/crew", Scene.crew_member), ADMIN),
    ("GET", "/roles"): (at("/roles"), ADMIN),
    ("POST", "/roles"): (lambda scene: ("/roles", {"slug": scene.name()}), ADMIN),
    ("GET", "/roles/{role}"): (at("/roles/crew"), ADMIN),
    ("PUT", "/roles/{role}"): (of("/roles/{}", Scene.role, {"name": "Night shift"}), ADMIN),
    ("DELETE", "/roles/{role}"): (of("/roles/{}", Scene.role), ADMIN),
    ("GET", "/keys"): (at("/keys"), ADMIN),
    ("POST", "/keys"): (lambda scene: ("/keys", {"name": scene.name()}), ADMIN),
    ("GET", "/keys/{key}"): (of("/keys/{}", Scene.key), ADMIN),
    ("PUT", "/keys/{key}"): (of("/keys/{}", Scene.key, {"disabled": True}), ADMIN),
    ("DELETE", "/keys/{key}"): (of("/keys/{}", Scene.key), ADMIN),
    ("GET", "/audit"): (at("/audit"), ADMIN),
}


@pytest.fixture(scope="module")
def scene(world: World) -> Scene:
    return Scene(world)


@pytest.mark.parametrize("route", MATRIX, ids=" ".join)
def test_who_may_do_this(world: World, scene: Scene, route: tuple[str, str]) -> None:
    make, expected = MATRIX[route]
    answered = []
    for caller in CALLERS:
        path, body = make(scene)
        answered.append(world.status(caller, route[0], path, body))
    assert dict(zip(CALLERS, answered, strict=True)) == dict(zip(CALLERS, expected, strict=True))


def served(world: World) -> set[tuple[str, str]]:
    """Every method of every route of the real application. HEAD is answered as GET, by the same rule."""
    return {
        (method.method, route.path)
        for route in falcon.inspect.inspect_app(world.app).routes
        for method in route.methods
        if method.method not in {"OPTIONS", "WEBSOCKET", "HEAD"} and not method.internal
    }


def test_no_route_is_missing_from_the_table(world: World) -> None:
    assert served(world) - set(MATRIX) == set(), "add a row above"
    assert set(MATRIX) - served(world) == set(), "these are not served any more"


def test_every_route_has_a_rule_of_its_own(world: World) -> None:
    rules = {(method, path) for path, methods in RULES.items() for method in methods}
    assert rules == served(world)


@pytest.mark.parametrize("route", [route for route in MATRIX if route[0] == "GET"], ids=" ".join)
def test_head_needs_what_get_needs(world: World, scene: Scene, route: tuple[str, str]) -> None:
    make, expected = MATRIX[route]
    path, _ = make(scene)
    assert world.status("other", "HEAD", path) == expected[CALLERS.index("other")]


def test_a_method_that_a_path_does_not_have_is_told_so_to_whoever_may_ask(world: World) -> None:
    assert world.status("other", "DELETE", "/jobs") == 405
    assert world.status("", "DELETE", "/jobs") == 401
    assert world.status("", "GET", "/nowhere") == 401
    assert world.status("other", "GET", "/nowhere") == 404
