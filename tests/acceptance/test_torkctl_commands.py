"""torkctl against a real daemon: every command in every format it has, and the exit codes that scripts depend on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.waiting import wait_until

FORMATS = ["table", "wide", "name", "json", "jsonl", "yaml"]
HELLO = Path(__file__).parents[2] / "examples" / "hello.yaml"
ID = re.compile(r"^[0-9a-f]{32}$", re.MULTILINE)


@pytest.fixture(scope="module")
def ended(daemon: Daemon) -> Any:
    """A job that has COMPLETED."""
    text = HELLO.read_bytes()
    return daemon.wait(daemon.call("POST", "/jobs", text, {"Content-Type": "text/yaml"})["id"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text("name: small\ntags: [little]\ntasks: [{name: one, run: echo one line}]\n")
    return path


def documents(text: str, output: str) -> list[Any]:
    """What a machine reads out of it."""
    match output:
        case "json":
            return [json.loads(text)]
        case "jsonl":
            return [json.loads(line) for line in text.splitlines()]
        case _:
            return list(yaml.safe_load_all(text))


def check_format(text: str, output: str, words: str) -> None:
    """`words` is an id for formats that machines read."""
    assert "\x1b" not in text
    if output == "name":
        assert text.splitlines(), text
        assert all(ID.fullmatch(line) for line in text.splitlines())
    elif output in {"table", "wide"}:
        assert words in text
    else:
        assert words in json.dumps(documents(text, output))


COMMANDS = [
    *(("list --limit 20", output) for output in FORMATS),
    *(("get {ended}", output) for output in FORMATS),
    *(("submit {file}", output) for output in FORMATS),
    *(("wait {ended}", output) for output in ("table", "name", "json")),
    *(("submit --wait {file}", output) for output in ("wide", "name", "jsonl", "yaml")),
    ("ls --state COMPLETED", "wide"),
]


@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=[f"{c.split(' {')[0]}-{o}" for c, o in COMMANDS])
def test_a_command_has_every_format(daemon: Daemon, ended: Any, file: Path, command: str, output: str) -> None:
    job_id = ended["id"]
    arguments = command.format(ended=job_id, file=file).split()
    done = daemon.torkctl(*arguments, "-o", output)
    assert done.returncode == 0, done.stderr
    check_format(done.stdout, output, "small" if command.startswith("submit") else job_id)


@pytest.mark.parametrize("output", ["table", "json", "jsonl", "yaml"])
def test_logs_have_the_formats_of_data(daemon: Daemon, ended: Any, output: str) -> None:
    done = daemon.torkctl("logs", ended["id"], "-o", output)
    assert done.returncode == 0
    if output == "table":
        assert "greet | Hello, world!" in done.stdout.splitlines()
    else:
        assert "Hello, world!" in json.dumps(documents(done.stdout, output))


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_get_as_a_document_is_what_the_api_says(daemon: Daemon, ended: Any, output: str) -> None:
    [document] = documents(daemon.torkctl("get", ended["id"], "-o", output).stdout, output)
    assert {key: str(document[key]) for key in ("id", "state", "result")} == {
        key: str(ended[key]) for key in ("id", "state", "result")
    }
    assert len(document["execution"]) == 3


def test_a_task_is_got_by_its_id(daemon: Daemon, ended: Any) -> None:
    task = ended["execution"][0]
    done = daemon.torkctl("get", task["id"])
    assert done.returncode == 0
    assert "greet" in done.stdout
    assert "Hello, world!" in daemon.torkctl("logs", task["id"]).stdout


def test_logs_are_cut_and_filtered_as_asked(daemon: Daemon, ended: Any) -> None:
    job_id = ended["id"]
    assert daemon.torkctl("logs", job_id, "--tail", "1").stdout.splitlines() == [
        "goodbye | Said hello 3 times. All done, goodbye."
    ]
    assert daemon.torkctl("logs", job_id, "--task", "shout WORLD").stdout.splitlines() == [
        f"{n}: HELLO, WORLD!" for n in (1, 2, 3)
    ]
    assert daemon.torkctl("logs", job_id, "--grep", "2: HELLO").stdout.splitlines() == [
        "shout WORLD | 2: HELLO, WORLD!"
    ]
    stamped = daemon.torkctl("logs", job_id, "-t", "--tail", "1").stdout
    assert re.search(r"^\d{4}-\d\d-\d\dT[\d:.]+Z goodbye \| Said hello", stamped)
    assert daemon.torkctl("logs", job_id, "--since", "1h").stdout.count("HELLO") == 3


def test_a_list_is_filtered_by_state_tag_and_words(daemon: Daemon, ended: Any, file: Path) -> None:
    assert daemon.torkctl("submit", "--wait", "--tag", "acceptance", str(file)).returncode == 0
    [job_id] = daemon.torkctl("list", "--tag", "acceptance", "-o", "name").stdout.splitlines()
    assert job_id in daemon.torkctl("list", "small", "-o", "name").stdout
    assert job_id not in daemon.torkctl("list", "--state", "FAILED", "-o", "name").stdout
    assert len(daemon.torkctl("list", "--limit", "1", "-o", "name").stdout.splitlines()) == 1


def test_the_last_job_and_a_prefix_name_a_job(daemon: Daemon, file: Path) -> None:
    job_id = daemon.torkctl("submit", "-o", "name", str(file)).stdout.strip()
    assert daemon.torkctl("wait", "@last").returncode == 0
    assert daemon.torkctl("get", "@last", "-o", "name").stdout.strip() == job_id
    assert daemon.torkctl("get", job_id[:12], "-o", "name").stdout.strip() == job_id
    assert daemon.torkctl("get", job_id[:3]).returncode in {2, 4}


def test_health_validate_schema_and_version_need_no_more_than_their_words(daemon: Daemon, file: Path) -> None:
    assert daemon.torkctl("health").returncode == 0
    assert daemon.torkctl("validate", str(file)).returncode == 0
    assert "TaskDefinition" in json.loads(daemon.torkctl("schema").stdout)["$defs"]
    assert daemon.torkctl("--version").stdout.strip().endswith("0.1.0")


def test_a_job_from_stdin_with_inputs_and_secrets(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hidden-token\n")
    text = (
        "name: from stdin\ninputs: {who: nobody}\nsecrets: {token: none}\n"
        'tasks: [{name: say, env: {W: "{{ inputs.who }}", T: "{{ secrets.token }}"}, run: "echo $W ${#T} $T"}]\n'
    )
    done = daemon.torkctl(
        *("submit", "--follow", "--input", "who=Ada", "--secret", f"token=@{tmp_path / 'token'}", "-"), stdin=text
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Ada 12 [REDACTED]\n"


def test_a_cancelled_job_is_restarted_where_it_stopped(daemon: Daemon) -> None:
    gate = Gate(daemon.base / "gate-restart")
    job_id = daemon.submit({"name": "two", "tasks": [{"name": "first", "run": "true"}, gate.task("second")]})
    wait_until(lambda: daemon.job(job_id)["position"] == 2, describe=daemon.told)
    assert daemon.torkctl("cancel", "--wait", job_id).returncode == 0
    assert daemon.job(job_id)["state"] == "CANCELLED"
    assert daemon.torkctl("wait", job_id).returncode == 3
    gate.open()
    assert daemon.torkctl("restart", "--wait", job_id).returncode == 0
    names = [task["name"] for task in daemon.job(job_id)["execution"]]
    assert names == ["first", "second", "second"]


FAILING = "name: fails\ntasks: [{name: bad, run: 'echo the reason; exit 7'}]\n"
EXIT_CODES = {
    "completed": (("submit", "--wait", "{hello}"), 0, "COMPLETED"),
    "failed": (("submit", "--wait", "{failing}"), 1, "exit code 7"),
    "failed-followed": (("submit", "--follow", "{failing}"), 1, "exit code 7"),
    "exit-code-of-the-task": (("submit", "--exit-code-from", "bad", "{failing}"), 7, "exit code 7"),
    "several-and-one-fails": (("submit", "--wait", "{hello}", "{failing}"), 1, "FAILED"),
    "invalid-file": (("submit", "{invalid}"), 2, "unknown key 'taks'"),
    "validate-invalid-file": (("validate", "{invalid}"), 2, "did you mean 'tasks'"),
    "no-such-file": (("submit", "/no/such.yaml"), 2, "/no/such.yaml"),
    "wrong-option": (("submit", "--wiat", "{hello}"), 2, "--wiat"),
    "wrong-format": (("list", "-o", "xml"), 2, "xml"),
    "no-such-job": (("get", "0" * 32), 4, "0" * 32),
    "no-such-job-to-wait-for": (("wait", "0" * 32), 4, "0" * 32),
    "no-such-job-to-cancel": (("cancel", "0" * 32), 4, "0" * 32),
    "no-server": (("list", "-e", "http://127.0.0.1:9", "--retry-for", "100ms"), 5, "127.0.0.1:9"),
    "no-server-health": (("health", "-e", "http://127.0.0.1:9", "--retry-for", "100ms"), 5, "127.0.0.1:9"),
    "cancel-of-an-ended-job": (("cancel", "{ended}"), 1, "not running"),
    "restart-of-a-completed-job": (("restart", "{ended}"), 1, "can not be restarted"),
    "retry-of-a-completed-job": (("retry", "{ended}", "--failed"), 1, "can not be retried"),
    "retry-of-what": (("retry", "{ended}"), 2, "--failed, or --task TASK"),
    "retry-of-both": (("retry", "{ended}", "--failed", "--task", "x"), 2, "--failed, or --task TASK"),
    "retry-of-a-task-that-has-not-failed": (("retry", "{ended}", "--task", "hello"), 4, "no task 'hello' has failed"),
    "retry-of-a-task-of-several-jobs": (("retry", "{ended}", "@last", "--task", "x"), 2, "one JOB"),
    "skip-without-a-reason": (("skip", "0" * 32), 2, "a reason is missing"),
    "skip-of-a-job": (("skip", "{ended}", "--reason", "x"), 2, "is a job"),
    "skip-of-nothing": (("skip", "0" * 32, "--reason", "x"), 4, "0" * 32),
}


@pytest.mark.parametrize(("arguments", "code", "told"), EXIT_CODES.values(), ids=EXIT_CODES)
def test_an_ending_has_its_exit_code_and_says_why(
    daemon: Daemon, ended: Any, tmp_path: Path, arguments: tuple[str, ...], code: int, told: str
) -> None:
    files = {
        "failing": FAILING,
        "invalid": "name: wrong\ntaks: []\n",
    }
    places = {"hello": str(HELLO), "ended": ended["id"]}
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        places[name] = str(tmp_path / f"{name}.yaml")
    done = daemon.torkctl(*(argument.format(**places) for argument in arguments))
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_time_that_is_up_leaves_the_job_going(daemon: Daemon, tmp_path: Path) -> None:
    gate = Gate(daemon.base / "gate-timeout")
    path = tmp_path / "gated.json"
    path.write_text(json.dumps(gate.job("patient")))
    done = daemon.torkctl("submit", "--timeout", "300ms", str(path))
    assert done.returncode == 124
    assert "goes on" in done.stderr
    [job_id] = ID.findall(daemon.torkctl("list", "patient", "-o", "name").stdout)
    assert daemon.torkctl("wait", "--timeout", "300ms", job_id).returncode == 124
    gate.open()
    assert daemon.torkctl("wait", job_id).returncode == 0
