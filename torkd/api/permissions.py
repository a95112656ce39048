"""Who may do what: one table for all routes, and the check that every request passes.

A method that is not in the table does not exist, and a path of an extension is for admins unless its resource says otherwise by an
attribute `access`. What a caller may not see is not found; what only admins may do is forbidden.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import falcon

from tork.errors import NotFound, TorkError
from torkd.accounts.caller import Caller
from torkd.api.auth import address_of, caller_of
from torkd.api.errors import refusal
from torkd.datastore.account_protocol import Act, Viewer, not_found

log = logging.getLogger(__name__)

ADMINS_ONLY = "only admins may do this (ask one to give your account the role admin)"


class Access(Enum):
    """Who may use a route."""

    EVERYBODY = "everybody, signed in or not"
    SIGNED_IN = "whoever has signed in; lists show each what they may see"
    JOB = "who may see the job"
    SCHEDULE = "who may see the scheduled job"
    TASK = "who may see the task's job"
    SELF = "the account itself, and admins"
    ADMIN = "admins"


@dataclass(frozen=True, slots=True)
class Rule:
    """Of one method of a route. What has an action is written down, with the id in the path as its target."""

    access: Access
    action: str = ""


RULES: dict[str, dict[str, Rule]] = {
    "/health": {"GET": Rule(Access.EVERYBODY)},
    "/jobs": {"GET": Rule(Access.SIGNED_IN), "POST": Rule(Access.SIGNED_IN)},
    "/jobs/{job_id}": {"GET": Rule(Access.JOB)},
    "/jobs/{job_id}/log": {"GET": Rule(Access.JOB)},
    "/jobs/{job_id}/log/stream": {"GET": Rule(Access.JOB)},
    "/jobs/{job_id}/events": {"GET": Rule(Access.JOB)},
    "/jobs/{job_id}/cancel": {"PUT": Rule(Access.JOB, "job.cancel")},
    "/jobs/{job_id}/restart": {"PUT": Rule(Access.JOB, "job.restart")},
    "/jobs/{job_id}/retry": {"PUT": Rule(Access.JOB, "job.retry")},
    "/scheduled-jobs": {"GET": Rule(Access.SIGNED_IN), "POST": Rule(Access.SIGNED_IN)},
    "/scheduled-jobs/{schedule_id}": {
        "GET": Rule(Access.SCHEDULE),
        "DELETE": Rule(Access.SCHEDULE, "schedule.delete"),
    },
    "/scheduled-jobs/{schedule_id}/pause": {"PUT": Rule(Access.SCHEDULE, "schedule.pause")},
    "/scheduled-jobs/{schedule_id}/resume": {"PUT": Rule(Access.SCHEDULE, "schedule.resume")},
    "/scheduled-jobs/{schedule_id}/run": {"PUT": Rule(Access.SCHEDULE, "schedule.run")},
    "/scheduled-jobs/{schedule_id}/next": {"GET": Rule(Access.SCHEDULE)},
    "/jobs/{job_id}/webhooks": {"GET": Rule(Access.JOB)},
    "/events": {"GET": Rule(Access.SIGNED_IN)},
    "/tasks/{task_id}": {"GET": Rule(Access.TASK)},
    "/tasks/{task_id}/skip": {"PUT": Rule(Access.TASK, "task.skip")},
    "/tasks/{task_id}/log": {"GET": Rule(Access.TASK)},
    "/tasks/{task_id}/log/stream": {"GET": Rule(Access.TASK)},
    "/nodes": {"GET": Rule(Access.SIGNED_IN)},
    "/queues": {"GET": Rule(Access.SIGNED_IN)},
    "/queues/{name}": {"GET": Rule(Access.SIGNED_IN), "DELETE": Rule(Access.ADMIN, "queue.delete")},
    "/queues/dead": {"GET": Rule(Access.ADMIN), "DELETE": Rule(Access.ADMIN, "dead-letters.delete")},
    "/queues/dead/{letter_id}": {"GET": Rule(Access.ADMIN), "DELETE": Rule(Access.ADMIN, "dead-letter.delete")},
    "/queues/dead/{letter_id}/replay": {"POST": Rule(Access.ADMIN, "dead-letter.replay")},
    "/doctor": {"GET": Rule(Access.ADMIN)},
    "/doctor/fix": {"POST": Rule(Access.ADMIN, "doctor.fix")},
    "/metrics": {"GET": Rule(Access.SIGNED_IN)},
    "/openapi.json": {"GET": Rule(Access.SIGNED_IN)},
    "/docs": {"GET": Rule(Access.SIGNED_IN)},
    "/users": {"GET": Rule(Access.ADMIN), "POST": Rule(Access.ADMIN, "user.create")},
    "/users/{user}": {
        "GET": Rule(Access.SELF),
        "PUT": Rule(Access.ADMIN, "user.change"),
        "DELETE": Rule(Access.ADMIN, "user.delete"),
    },
    "/users/{user}/password": {"PUT": Rule(Access.SELF, "user.password")},
    "/users/{user}/roles/{role}": {
        "PUT": Rule(Access.ADMIN, "user.grant"),
        "DELETE": Rule(Access.ADMIN, "user.revoke"),
    },
    "/roles": {"GET": Rule(Access.ADMIN), "POST": Rule(Access.ADMIN, "role.create")},
    "/roles/{role}": {
        "GET": Rule(Access.ADMIN),
        "PUT": Rule(Access.ADMIN, "role.change"),
        "DELETE": Rule(Access.ADMIN, "role.delete"),
    },
    "/keys": {"GET": Rule(Access.ADMIN), "POST": Rule(Access.ADMIN, "key.create")},
    "/keys/{key}": {
        "GET": Rule(Access.ADMIN),
        "PUT": Rule(Access.ADMIN, "key.change"),
        "DELETE": Rule(Access.ADMIN, "key.delete"),
    },
    "/audit": {"GET": Rule(Access.ADMIN)},
}
_ADMINS = Rule(Access.ADMIN)
_TARGETS = ("job_id", "schedule_id", "task_id", "letter_id", "name", "user", "role", "key")


class Visibility(Protocol):
    """What the check needs of the accounts."""

    def visible_jobs(self, viewer: Viewer, job_ids: Collection[str]) -> set[str]:
        """Those of these jobs that exist and may be seen, in one statement."""

    def may_see_schedule(self, viewer: Viewer, schedule_id: str) -> bool:
        """Whether it exists and may be seen."""

    def job_of_task(self, task_id: str) -> str:
        """The id of a task's job. Raises `NotFound`."""

    def write_down(self, acts: Sequence[Act]) -> None:
        """Add to the log of who did what."""


class Permissions:
    """Falcon middleware: checks each request when its route is known, and writes down what was done."""

    def __init__(self, visibility: Visibility) -> None:
        self._visibility = visibility

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: object, params: dict[str, Any]
    ) -> None:
        if req.method == "OPTIONS":
            return
        rule = _rule_of(req, resource)
        req.context.rule = rule
        req.context.target = next((str(params[name]) for name in _TARGETS if name in params), "")
        caller = caller_of(req)
        if caller.is_admin:
            return
        match rule.access:
            case Access.ADMIN:
                raise refusal(403, ADMINS_ONLY)
            case Access.SELF:
                if params["user"] not in {"me", caller.user_id, caller.username}:
                    raise not_found("user", params["user"])
            case Access.JOB:
                self._require(caller, params["job_id"], "job not found")
            case Access.SCHEDULE:
                assert caller.viewer is not None
                if not self._visibility.may_see_schedule(caller.viewer, params["schedule_id"]):
                    raise NotFound("scheduled job not found")
            case Access.TASK:
                job_id = self._visibility.job_of_task(params["task_id"])
                self._require(caller, job_id, "task not found")
            case Access.SIGNED_IN | Access.EVERYBODY:
                pass

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        rule = req.context.get("rule")
        if not req_succeeded or rule is None or not rule.action or resp.status_code >= 400:
            return
        act = act_of(req, rule.action, target=req.context.target, detail=req.context.get("detail") or "")
        try:
            self._visibility.write_down([act])
        except TorkError as error:
            # It is done: an error now would say that it was not.
            log.error("could not be written down: %s by %s: %s", act.action, act.username, error)

    def _require(self, caller: Caller, job_id: str, message: str) -> None:
        assert caller.viewer is not None
        if not self._visibility.visible_jobs(caller.viewer, [job_id]):
            raise NotFound(message)


def act_of(req: falcon.Request, action: str, *, target: str = "", detail: str = "") -> Act:
    """What the sender of a request did."""
    caller = caller_of(req)
    return Act(
        username=caller.username,
        user_id=caller.user_id,
        action=action,
        target=target,
        detail=detail,
        address=address_of(req),
    )


def _rule_of(req: falcon.Request, resource: object) -> Rule:
    methods = RULES.get(req.uri_template or "")
    if methods is None:
        access = getattr(resource, "access", None)
        return Rule(access) if isinstance(access, Access) else _ADMINS
    rule = methods.get("GET" if req.method == "HEAD" else req.method)
    if rule is None:
        raise falcon.HTTPMethodNotAllowed([*sorted({*methods, *(["HEAD"] if "GET" in methods else [])}), "OPTIONS"])
    return rule
