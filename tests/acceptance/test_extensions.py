"""The example of extensions, installed as a site would, with a real daemon and with the suites for authors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Daemon
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "extensions"

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed."""
    place = tmp_path_factory.mktemp("site")
    source = place / "source"
    shutil.copytree(EXAMPLE, source)
    options = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    installed = place / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(installed), str(source)],
        check=True,
        timeout=100,
    )
    return installed


@pytest.fixture(scope="module")
def daemon(site: Path) -> Iterator[Daemon]:
    with PostgresServer.start() as server:
        settings = {
            "PYTHONPATH": str(site),
            "TORK_RUNTIME_TYPE": "licensed",
            "TORK_BROKER_TYPE": "counting",
            "TORK_DATASTORE_TYPE": "counting",
            "TORK_DATASTORE_COUNTING_DSN": server.create_database(),
            "TORK_WORKER_HEARTBEAT": "0.5s",
        }
        with Daemon(settings) as daemon:
            yield daemon


def a_job(script: str, **fields: Any) -> dict[str, Any]:
    return {"name": "a", "tasks": [{"name": "t", "run": script, "var": "v"}], "output": "{{ tasks.v }}", **fields}


def counts(daemon: Daemon) -> dict[str, int]:
    found: dict[str, int] = daemon.call("GET", "/site/report")["counts"]
    return found


def test_a_job_passes_every_middleware(daemon: Daemon) -> None:
    job = daemon.wait(daemon.submit(a_job('printf %s "$SITE" > $TORK_OUTPUT; echo paid with 4111 1111 1111 1111.')))
    assert (job["state"], job["result"], job["tags"], job["site"]) == ("COMPLETED", "example", ["by-guest"], "example")
    assert daemon.log_text(job["id"]) == "paid with [a card number].\n"


def test_what_middleware_refuses_is_told_to_the_client(daemon: Daemon) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        daemon.submit(a_job("true", name="forbidden-a"))
    with refused.value as answer:
        assert (answer.code, answer.headers["X-Site"]) == (400, "example")
        assert b"guest may not submit forbidden-a" in answer.read()


def test_the_endpoint_reports_what_all_of_them_have_counted(daemon: Daemon) -> None:
    daemon.wait(daemon.submit(a_job("exit 3")))
    wanted = {"jobs FAILED", "tasks FAILED", "runs failed", "tasks handed out", "transactions", "heartbeats Worker"}
    wait_until(lambda: wanted <= set(counts(daemon)), describe=lambda: f"{counts(daemon)}\n{daemon.told()}")
    report = daemon.call("GET", "/site/report")
    assert report["by"] == "guest"
    assert "Worker" in report["nodes"]
    assert "/site/report" in daemon.call("GET", "/openapi.json")["paths"]


def test_an_author_holds_the_example_to_the_suites(site: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) > 80


def test_everything_that_can_be_registered_is_shown_by_the_example() -> None:
    from torkd.extensions import Extensions

    text = (EXAMPLE / "tork_site" / "__init__.py").read_text()
    assert {name for name in dir(Extensions) if name.startswith("register_") and f".{name}(" not in text} == set()
