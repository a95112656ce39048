"""Which submissions from a pipeline are the same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.build_servers import GITHUB, GITLAB, STEP
from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl
from tork.job import JobDefinition
from tork.task import TaskDefinition
from torkctl.pipeline.submission_key import default_key


def _definition(**more: object) -> JobDefinition:
    return JobDefinition(name="etl", tasks=[TaskDefinition(name="a", run="b")], **more)  # type: ignore[arg-type] # builder


@pytest.mark.parametrize(
    "change",
    [
        {"GITHUB_RUN_ID": "8"},
        {"GITHUB_RUN_ATTEMPT": "2"},
        {"GITHUB_JOB": "test"},
        {"GITHUB_ACTION": "__run_2"},
        {"GITHUB_REPOSITORY": "o/fork"},
        {"GITHUB_ENV": f"/tmp/set_env_{STEP[:-1]}6"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_step_has_another_key(change: dict[str, str]) -> None:
    key = default_key(_definition(), 0, GITHUB)
    assert key == default_key(_definition(), 0, GITHUB)
    assert key != default_key(_definition(), 0, {**GITHUB, **change})


@pytest.mark.parametrize(
    ("environ", "leg"),
    [
        (GITLAB, {"CI_NODE_INDEX": "2"}),
        (GITLAB, {"CI_JOB_ID": "78"}),
        ({"BUILDKITE": "true", "BUILDKITE_BUILD_ID": "b", "BUILDKITE_JOB_ID": "j"}, {"BUILDKITE_JOB_ID": "k"}),
        ({"CIRCLECI": "true", "CIRCLE_WORKFLOW_ID": "w", "CIRCLE_BUILD_NUM": "3"}, {"CIRCLE_NODE_INDEX": "1"}),
    ],
)
def test_another_leg_has_another_key(environ: dict[str, str], leg: dict[str, str]) -> None:
    key = default_key(_definition(), 0, environ)
    assert key.startswith("ci-")
    assert key != default_key(_definition(), 0, {**environ, **leg})
    assert key != default_key(_definition(inputs={"a": "b"}), 0, environ)
    assert key != default_key(_definition(tags=["x"]), 0, environ)
    assert key != default_key(_definition(), 1, environ)
    assert key == default_key(_definition(secrets={"a": "b"}), 0, environ)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"CI": "true"},
        {"JENKINS_URL": "http://j", "BUILD_TAG": "jenkins-x-1"},
        {**GITHUB, "GITHUB_ENV": "/var/run/act/workflow/envs.txt"},
        {name: value for name, value in GITHUB.items() if name != "GITHUB_RUN_ATTEMPT"},
    ],
    ids=["none", "any", "Jenkins", "a runner with one file for all steps", "a server without attempts"],
)
def test_where_a_step_that_is_run_again_can_not_be_told_there_is_no_key(environ: dict[str, str]) -> None:
    assert default_key(_definition(), 0, environ) == ""


def test_a_submission_that_is_repeated_in_a_step_is_the_same_job_and_that_is_told(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path
) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id)
    first = torkctl("submit", "-q", "-o", "name", job_file)
    again = torkctl("submit", "-q", "-o", "name", job_file)
    assert (again.code, again.out) == (0, first.out)
    assert first.err == ""
    assert f"was submitted before under the same key, as job {first.out.strip()}, which is COMPLETED" in again.err
    assert torkctl("submit", "-q", "-o", "name", "--tag", "x", job_file).out != first.out
    assert torkctl("submit", "-q", "-o", "name", "--ci", "none", job_file).out != first.out
    assert torkctl("submit", "-q", "-o", "name", "--idempotency-key", "k", job_file).out != first.out
    both = torkctl("submit", "-q", "-o", "name", job_file, job_file)
    assert both.out.splitlines()[0] == first.out.strip()
    assert len(set(both.out.split())) == 2


def test_a_request_that_torkctl_itself_sends_again_is_no_surprise(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, on_github: Path
) -> None:
    fake_api.on_submit = lambda job_id: fake_api.end(job_id)
    fake_api.fail("/jobs", "drop", method="POST", carry_out=True)
    ran = torkctl("submit", "-q", job_file)
    assert ran.code == 0
    assert "submitted before" not in ran.err
    assert len(fake_api.jobs) == 1
