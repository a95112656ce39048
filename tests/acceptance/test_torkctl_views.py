"""torkctl's pictures of a job and of the cluster against a real daemon, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.daemon import Daemon

FORMATS = ["table", "wide", "name", "json", "jsonl", "yaml"]
HELLO = Path(__file__).parents[2] / "examples" / "hello.yaml"


@pytest.fixture(scope="module")
def ended(daemon: Daemon) -> Any:
    """A job that has COMPLETED."""
    return daemon.wait(daemon.call("POST", "/jobs", HELLO.read_bytes(), {"Content-Type": "text/yaml"})["id"])


def shown(daemon: Daemon, *arguments: str) -> str:
    done = daemon.torkctl(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    return done.stdout


def document(text: str, output: str) -> Any:
    """The one document that was written."""
    if output == "yaml":
        return yaml.safe_load(text)
    [line] = [text] if output == "json" else text.splitlines()
    return json.loads(line)


@pytest.mark.parametrize("output", FORMATS)
def test_the_tree_of_a_job(daemon: Daemon, ended: Any, output: str) -> None:
    text = shown(daemon, "tree", ended["id"], "-o", output)
    ids = [task["id"] for task in ended["execution"]]
    if output == "name":
        assert sorted(text.split()) == sorted([ended["id"], *ids])
    elif output in {"table", "wide"}:
        assert all(task["name"] in text for task in ended["execution"])
        assert text.count("COMPLETED") == 4
        assert text.count("  on ") == 3
        assert all((task_id in text) is (output == "wide") for task_id in ids)
    else:
        tree = document(text, output)
        assert [tree["state"], *(child["state"] for child in tree["children"])] == ["COMPLETED"] * 4


@pytest.mark.parametrize("output", FORMATS)
def test_the_timeline_of_a_job(daemon: Daemon, ended: Any, output: str) -> None:
    text = shown(daemon, "timeline", ended["id"], "-o", output)
    ids = [task["id"] for task in ended["execution"]]
    if output == "name":
        assert text.split() == ids
    elif output in {"table", "wide"}:
        lines = text.splitlines()
        assert [line.startswith("* ") and "█" in line for line in lines[1:4]] == [True] * 3
        assert all((task_id in text) is (output == "wide") for task_id in ids)
        assert "on the critical path" in lines[-1]
    else:
        timeline = document(text, output)
        assert [task["id"] for task in timeline["tasks"]] == ids
        assert timeline["criticalRanSeconds"] > 0


@pytest.mark.parametrize("output", ["table", "json", "name"])
def test_the_cluster_on_one_screen(daemon: Daemon, ended: Any, output: str) -> None:
    text = shown(daemon, "top", "-o", output)
    if output == "name":
        assert text == ""
    elif output == "table":
        assert text.splitlines()[1].split()[:3] == ["jobs", "0", "0"]
        assert "default" in text
        assert "UP" in text
    else:
        cluster = document(text, output)
        assert cluster["jobs"]["running"] == 0
        assert [node for node in cluster["nodes"] if node.get("queue")]
