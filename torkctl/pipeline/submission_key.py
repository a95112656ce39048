"""The idempotency key of a submission from a pipeline: the same for the same content in the same run of the same step.

A step that is run again, and another leg of a matrix, have other keys. Where the environment can't tell those apart there
is no key, and every submission is a job of its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import PurePath

import msgspec

from tork.job import JobDefinition

_PREFIX = "ci-"
_UNIQUE = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_GITHUB = (
    "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB", "GITHUB_ACTION",
)  # fmt: skip
_OTHERS = {
    "GITLAB_CI": (("CI_SERVER_URL", "CI_PIPELINE_ID", "CI_JOB_ID"), "CI_NODE_INDEX"),
    "BUILDKITE": (("BUILDKITE_BUILD_ID", "BUILDKITE_JOB_ID"), "BUILDKITE_PARALLEL_JOB"),
    "CIRCLECI": (("CIRCLE_WORKFLOW_ID", "CIRCLE_BUILD_NUM"), "CIRCLE_NODE_INDEX"),
}
"""Of each server by the variable that is `true` under it: what must be set, and the index of a leg, if there are several."""


def step_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What tells this run of this step from all others; nothing where that can't be told."""
    if environ.get("GITHUB_ACTIONS") == "true":
        # A runner makes this file anew for every step it runs: its name is all that differs between legs of a matrix.
        of_step = _UNIQUE.search(PurePath(environ.get("GITHUB_ENV", "")).name)
        values = [environ.get(name, "") for name in _GITHUB]
        return ("github", *values, of_step[0]) if of_step and all(values) else ()
    for sign, (needed, index) in _OTHERS.items():
        values = [environ.get(name, "") for name in needed]
        if environ.get(sign) == "true" and all(values):
            return (sign, *values, environ.get(index, ""))
    return ()


def default_key(definition: JobDefinition, number: int, environ: Mapping[str, str]) -> str:
    """The key, or nothing. `number` counts equal definitions that one command was given.

    Secrets are no part of it: whoever sees keys should not be able to try what a secret might be.
    """
    step = step_of(environ)
    if not step:
        return ""
    content = msgspec.json.encode(msgspec.structs.replace(definition, secrets={}))
    told = msgspec.json.encode([*step, str(number), hashlib.sha256(content).hexdigest()])
    return _PREFIX + hashlib.sha256(told).hexdigest()
