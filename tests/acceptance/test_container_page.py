"""The plugin that docs/containers.md shows, installed and used as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engines import ContainerEngine

PAGE = (Path(__file__).parents[2] / "docs" / "containers.md").read_text(encoding="utf-8")
PLUGINS = PAGE.partition("## Plugins")[2]
[CODE] = re.findall(r"```python\n(.*?)```", PLUGINS, re.DOTALL)
ENTRY_POINT = "[torkd.plugins]\nsite = tork_site:register\n"
JOB = """
name: plugin
tasks:
  - {name: look, image: alpine:3.21, mounts: [{type: model, target: /model, opts: {name: NAME}}], run: cat /model/weights}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory in which the plugin is installed, and its models and settings are."""
    (tmp_path / "tork_site.py").write_text(CODE)
    about = tmp_path / "tork_site-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tork-site\nVersion: 1\n")
    (about / "entry_points.txt").write_text(ENTRY_POINT)
    (tmp_path / "models" / "cat").mkdir(parents=True)
    (tmp_path / "models" / "cat" / "weights").write_text("purr\n")
    (tmp_path / "config.toml").write_text(
        f'[mounter.model]\nplace = "{tmp_path / "models"}"\n[runtime.dry]\nwords = "I would run"\n'
    )
    return tmp_path


def run(site: Path, model: str, **settings: str) -> subprocess.CompletedProcess[str]:
    (site / "job.yaml").write_text(JOB.replace("NAME", model))
    return subprocess.run(
        [sys.executable, "-m", "torkctl", "run", str(site / "job.yaml")],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(site),
            "PYTHONPATH": str(site),
            "TORK_DATA_DIR": str(site / "data"),
            "TORK_CONFIG": str(site / "config.toml"),
            **settings,
        },
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_page_names_the_entry_point_that_is_tried_here() -> None:
    assert 'entry-points."torkd.plugins"' in PLUGINS
    assert 'site = "tork_site:register"' in PLUGINS


def test_the_runtime_prints_what_it_would_run(site: Path) -> None:
    done = run(site, "cat", TORK_RUNTIME_TYPE="dry")
    assert (done.returncode, done.stdout) == (0, "I would run: cat /model/weights\n"), done.stderr


def test_the_mounter_gives_tasks_what_it_finds_and_says_what_it_does_not(
    site: Path, stand_ins: ContainerEngine
) -> None:
    done = run(site, "cat", **stand_ins.settings)
    assert (done.returncode, done.stdout) == (0, "purr\n"), done.stderr
    failed = run(site, "dog", **stand_ins.settings)
    assert failed.returncode == 1
    assert "mount of type model failed: there is no model dog" in failed.stderr
