"""The units that we ship: systemd accepts them, they fit the daemon's own times and settings, and the coordinator is locked in well."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.unit_files import (
    DAEMONS,
    FOLDER,
    INSTALLED,
    INSTALLED_TORKCTL,
    UNITS,
    copied_units,
    environment_of,
    settings_of,
)
from torkctl.__main__ import guarded
from torkctl.cli import run_command_line
from torkctl.diagnostics import ExitCode
from torkd.settings import Settings, load_settings

WORST_EXPOSURE = 30
"""Of the coordinator, in tenths, as systemd counts."""
AFTER_DRAIN_SECONDS = 5
"""What `docs/torkd.md` promises: how long the last requests may take after the drain."""
DROP_INS = sorted(FOLDER.glob("*.d/hardening.conf"))
MODES = {unit: unit.removeprefix("torkd-").partition(".")[0].rstrip("@") for unit in DAEMONS}


def analyze(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """systemd-analyze, which has to be there in CI."""
    if shutil.which("systemd-analyze") is None:
        sentence = "systemd-analyze is missing: install the Debian package systemd"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return subprocess.run(
        ["systemd-analyze", *arguments],
        cwd=folder,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning", "SYSTEMD_EMOJI": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_there_is_a_unit_for_every_way_to_run() -> None:
    assert UNITS == [
        "torkctl-watch@.service",
        "torkd-coordinator.service",
        "torkd-standalone.service",
        "torkd-worker.service",
        "torkd-worker@.service",
    ]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_against_it(tmp_path: Path, unit: str) -> None:
    ran = analyze("verify", f"./{unit}", folder=copied_units(tmp_path))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_systemd_would_have_said_what_is_wrong(tmp_path: Path) -> None:
    folder = copied_units(tmp_path)
    broken = folder / "torkd-worker.service"
    broken.write_text(broken.read_text().replace("KillMode=mixed", "KillMod=mixed"))
    assert "KillMod" in analyze("verify", "./torkd-worker.service", folder=folder).stderr


def test_the_coordinator_is_exposed_to_little(tmp_path: Path) -> None:
    folder = copied_units(tmp_path)
    threshold = f"--threshold={WORST_EXPOSURE}"
    security = ("security", "--offline=true", threshold, "--no-pager")
    ran = analyze(*security, "./torkd-coordinator.service", folder=folder)
    assert ran.returncode == 0, ran.stdout[-500:]
    shutil.rmtree(folder / "torkd-coordinator.service.d")
    assert analyze(*security, "./torkd-coordinator.service", folder=folder).returncode != 0, (
        "it is the drop-in that does it"
    )


@pytest.mark.parametrize("unit", DAEMONS)
def test_systemd_knows_when_it_is_ready_alive_and_to_be_started_again(unit: str) -> None:
    settings = settings_of(FOLDER / unit)
    assert settings["Type"] == ["notify"]
    assert int(settings["WatchdogSec"][0]) > 0
    assert settings["Restart"] == ["on-failure"]
    assert settings["RestartPreventExitStatus"] == ["2"]
    assert settings["KillMode"] == ["mixed"]
    assert settings["ExecStart"] == [f"{INSTALLED} run {MODES[unit]}"]
    assert settings["User"] == ["torkd"]


@pytest.mark.parametrize("unit", DAEMONS)
def test_a_stop_leaves_time_to_drain(unit: str) -> None:
    worker = Settings().worker
    needed = (worker.drain + worker.grace).total_seconds() + AFTER_DRAIN_SECONDS
    assert int(settings_of(FOLDER / unit)["TimeoutStopSec"][0]) > needed


@pytest.mark.parametrize("unit", DAEMONS)
def test_every_variable_that_it_sets_is_a_setting(tmp_path: Path, unit: str) -> None:
    variables = {name: value.replace("%i", "gpu") for name, value in environment_of(unit).items()}
    assert "TORK_DATA_DIR" in variables
    assert list(load_settings(variables, cwd=tmp_path, home=tmp_path).warnings) == []


@pytest.mark.parametrize("path", DROP_INS, ids=lambda path: path.parent.name)
def test_a_hardening_line_has_a_reason_above_it_or_above_its_group(path: Path) -> None:
    """A group begins with a comment and has at most seven lines."""
    lines = path.read_text().partition("[Service]\n")[2].splitlines()
    since_reason = 100
    for line in lines:
        since_reason = 0 if line.startswith("#") else since_reason + 1
        assert not line or since_reason <= 7, line


def test_every_unit_has_its_hardening_and_workers_have_the_same() -> None:
    texts = {path.parent.name.removesuffix(".d"): path.read_text() for path in DROP_INS}
    assert sorted(texts) == UNITS
    assert texts["torkd-worker.service"] == texts["torkd-worker@.service"]
    assert settings_of(FOLDER / "torkd-worker.service.d/hardening.conf") == settings_of(
        FOLDER / "torkd-standalone.service.d/hardening.conf"
    )


def test_the_unit_of_a_watch_has_words_that_torkctl_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unit = "torkctl-watch@.service"
    settings = settings_of(FOLDER / unit)
    program, *words = settings["ExecStart"][0].split()
    assert program == INSTALLED_TORKCTL
    options = environment_of(unit)["WATCH_OPTIONS"].split()
    place = {"$WATCH_OPTIONS": options, "%f": [str(tmp_path / "missing")]}
    line = [part for word in words for part in place.get(word, [word])]
    assert guarded(lambda: run_command_line(line)) == ExitCode.USAGE
    assert "missing is not a folder" in capsys.readouterr().err
    assert settings["Restart"] == ["on-failure"]
    assert settings["RestartPreventExitStatus"] == [str(ExitCode.USAGE.value)]


def test_a_worker_has_nothing_that_hides_paths_from_a_container_engine() -> None:
    settings = settings_of(FOLDER / "torkd-worker.service.d/hardening.conf")
    assert (
        settings.keys() & {"PrivateTmp", "ProtectHome", "TemporaryFileSystem", "MemoryDenyWriteExecute", "PrivateUsers"}
        == set()
    )


def test_the_template_differs_from_the_worker_by_its_name_and_files_only() -> None:
    plain, template = (
        set((FOLDER / unit).read_text().splitlines()) for unit in ("torkd-worker.service", "torkd-worker@.service")
    )
    assert {line for line in template - plain if not line.startswith(("#", "Description"))} == {
        "Environment=TORK_WORKER_NAME=%i",
        "EnvironmentFile=-/etc/tork/worker-%i.env",
    }


def test_the_user_and_the_directories_of_the_units_are_made() -> None:
    users = (FOLDER / "sysusers.d/torkd.conf").read_text()
    assert re.search(r'^u torkd - "[^"]+" /var/lib/tork /usr/sbin/nologin$', users, re.MULTILINE)
    directories = (FOLDER / "tmpfiles.d/torkd.conf").read_text()
    assert re.search(r"^d /etc/tork 0750 root torkd -$", directories, re.MULTILINE)
    assert re.search(r"^d /var/lib/tork 0700 torkd torkd -$", directories, re.MULTILINE)


def test_systemd_would_make_the_user(tmp_path: Path) -> None:
    if shutil.which("systemd-sysusers") is None:
        analyze("--version", folder=tmp_path)
    (tmp_path / "etc").mkdir()
    conf = FOLDER / "sysusers.d/torkd.conf"
    ran = subprocess.run(
        ["systemd-sysusers", "--dry-run", f"--root={tmp_path}", "--replace=/etc/sysusers.d/torkd.conf", "-"],
        input=conf.read_text(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "torkd" in ran.stderr + ran.stdout


def test_the_settings_of_the_page_are_those_of_the_walk_through(tmp_path: Path) -> None:
    walk = (FOLDER.parents[1] / "docs" / "deployment.md").read_text().splitlines()
    blocks = re.findall(
        r"^# cat /etc/tork/\S+\.env\n((?:TORK_.*\n)+)", (FOLDER / "README.md").read_text(), re.MULTILINE
    )
    blocks = [block for block in blocks if "TORK_CLIENT_" not in block]
    assert len(blocks) == 3
    for block in blocks:
        assert set(block.splitlines()) <= set(walk)
        environment = dict(line.split("=", 1) for line in block.splitlines())
        assert list(load_settings(environment, cwd=tmp_path, home=tmp_path).warnings) == []


def test_the_page_installs_from_a_clone() -> None:
    page = (FOLDER / "README.md").read_text()
    assert "pip install '.[embedded]'" in page
    assert not re.search(r"pip install '?torkd", page)


@pytest.mark.parametrize(
    "name", [*UNITS, "torkd-worker@gpu", "torkctl-watch@srv-inbox", "sysusers.d", "tmpfiles.d", "hardening.conf"]
)
def test_the_page_names_it(name: str) -> None:
    assert name in (FOLDER / "README.md").read_text()
