"""What is sent for a job file, and what is never shown."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from tests.support.fake_api import FakeApi
from tests.support.torkctl_runs import Torkctl
from tork.definition import read_job

SECRET = "s3cr3t-v4lue"


def _sent(fake_api: FakeApi, ending: str = "/jobs") -> tuple[str, bytes]:
    [request] = fake_api.requests_to(ending, "POST")
    return request.headers["content-type"], request.body


def test_a_file_is_sent_as_it_is(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    torkctl("submit", job_file)
    assert _sent(fake_api) == ("text/yaml", Path(job_file).read_bytes())


def test_a_json_file_is_sent_as_json(fake_api: FakeApi, torkctl: Torkctl) -> None:
    Path("job.json").write_text('{"name": "x", "tasks": [{"name": "y", "run": "true"}]}')
    assert torkctl("submit", "job.json").code == 0
    assert _sent(fake_api) == ("application/json", Path("job.json").read_bytes())


@pytest.mark.parametrize(
    "text", ["name: x\ntasks:\n- run: 'true'\n  name: y\n", '{"name":"x","tasks":[{"name":"y","run":"z"}]}']
)
def test_standard_input_is_a_file_too(
    fake_api: FakeApi, torkctl: Torkctl, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert torkctl("submit", "-").code == 0
    assert _sent(fake_api) == ("text/yaml", text.encode())


def test_flags_change_the_document_and_the_rest_stays_as_written(fake_api: FakeApi, torkctl: Torkctl) -> None:
    Path("job.yaml").write_text(
        "name: x\ntags: [a]\ninputs: {region: us, version: 010}\ntasks:\n- name: y\n  run: z\n  limits: {cpus: .5}\n"
    )
    flags = ["--name", "new", "--tag", "a", "--tag", "b", "--input", "region=eu=1", "--input", "x="]
    assert torkctl("submit", "job.yaml", *flags).code == 0
    media_type, body = _sent(fake_api)
    assert media_type == "application/json"
    assert json.loads(body) == {
        "name": "new",
        "tags": ["a", "b"],
        "inputs": {"region": "eu=1", "version": "010", "x": ""},
        "tasks": [{"name": "y", "run": "z", "limits": {"cpus": ".5"}}],
    }
    assert read_job(body, format="json").name == "new"


def test_a_wait_in_the_file_is_left_to_the_command_line(fake_api: FakeApi, torkctl: Torkctl) -> None:
    Path("job.yaml").write_text("name: x\nwait: {timeout: 1h}\ntasks:\n- name: y\n  run: z\n")
    assert torkctl("submit", "job.yaml").code == 0
    assert "wait" not in json.loads(_sent(fake_api)[1])


@pytest.mark.parametrize("form", ["token={value}", "token=@token.txt", "token=env:MY_TOKEN"])
@pytest.mark.parametrize("trouble", ["none", "refused", "unreachable"])
def test_a_secret_is_sent_and_never_shown(
    fake_api: FakeApi, torkctl: Torkctl, monkeypatch: pytest.MonkeyPatch, job_file: str, form: str, trouble: str
) -> None:
    monkeypatch.setenv("MY_TOKEN", SECRET)
    Path("token.txt").write_text(SECRET + "\n")
    if trouble == "refused":
        fake_api.fail("/jobs", "status", status=400, method="POST", body=b'{"message":"no"}')
    if trouble == "unreachable":
        fake_api.fail("/jobs", "drop", method="POST", times=99)
    flags = ["--secret", form.format(value=SECRET), "-v", "--retry-for", "100ms"]
    ran = torkctl("submit", job_file, *flags)
    assert ran.code == {"none": 0, "refused": 2, "unreachable": 5}[trouble]
    request = fake_api.requests_to("/jobs", "POST")[0]
    assert json.loads(request.body)["secrets"] == {"token": SECRET}
    assert SECRET not in ran.out + ran.err


@pytest.mark.parametrize(
    "flags",
    [["--secret", SECRET], ["--secret", "token=env:NOT_THERE"], ["--secret", "token=@not.there"], ["--secret", f"={SECRET}"],
     ["--input", "x"], ["--input", "=x"], ["--timeout", "-1s"]],
    ids=" ".join,
)  # fmt: skip
def test_a_flag_that_makes_no_sense_is_refused_without_showing_secrets(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, flags: list[str]
) -> None:
    ran = torkctl("submit", job_file, *flags)
    assert (ran.code, fake_api.requests) == (2, [])
    assert SECRET not in ran.err


SCHEDULED = "name: x\nschedule: {cron: '* * * * *'}\ntasks:\n- name: y\n  run: z\n"


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_schedule_goes_to_the_scheduler_and_its_absence_is_said(
    fake_api: FakeApi, torkctl: Torkctl, status: int
) -> None:
    Path("job.yaml").write_text(SCHEDULED)
    fake_api.fail("/scheduled-jobs", "status", status=status, method="POST", body=b'{"message":"Not Found"}')
    ran = torkctl("submit", "job.yaml")
    assert ran.code == 2
    assert "does not take scheduled jobs" in ran.err
    assert not fake_api.requests_to("/jobs", "POST")


def test_a_scheduled_job_can_not_be_waited_for(fake_api: FakeApi, torkctl: Torkctl) -> None:
    Path("job.yaml").write_text(SCHEDULED)
    ran = torkctl("submit", "--wait", "job.yaml")
    assert (ran.code, fake_api.requests) == (2, [])


@pytest.mark.parametrize(
    "flags", [["--idempotency-key", "k"], ["--exit-code-from", "build"]], ids=lambda flags: flags[0]
)
def test_what_is_for_one_file_is_refused_for_two(
    fake_api: FakeApi, torkctl: Torkctl, job_file: str, flags: list[str]
) -> None:
    assert torkctl("submit", job_file, job_file, *flags).code == 2
    assert not fake_api.requests


def test_standard_input_can_not_be_two_files(fake_api: FakeApi, torkctl: Torkctl) -> None:
    assert torkctl("submit", "-", "-").code == 2


@pytest.mark.parametrize(
    ("name", "is_warned_of"), [("unknown", True), ("who", False), ("optional", False), ("condition", False)]
)
def test_an_input_that_nothing_declares_or_reads_is_warned_of_and_sent(
    fake_api: FakeApi, torkctl: Torkctl, name: str, is_warned_of: bool
) -> None:
    Path("job.yaml").write_text(
        "name: x\ninputs: {who: me}\ntasks:\n- name: a\n  if: inputs.condition == 'y'\n"
        "  env: {A: '{{ inputs.optional }}'}\n  run: unknown\n"
    )
    ran = torkctl("submit", "--input", f"{name}=1", "job.yaml")
    assert ran.code == 0
    assert (f"warning: --input {name}: job.yaml has no such input" in ran.err) is is_warned_of
    assert json.loads(_sent(fake_api)[1])["inputs"][name] == "1"


def test_a_file_that_declares_no_inputs_is_not_warned_of(fake_api: FakeApi, torkctl: Torkctl, job_file: str) -> None:
    assert "warning" not in torkctl("submit", "--input", "any=1", job_file).err
