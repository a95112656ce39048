"""The name of the machine's time zone, from wherever the system says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from torkd.local_zone import local_zone


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (":Asia/Kathmandu", "Asia/Kathmandu"),
        ("/usr/share/zoneinfo/Europe/Paris", "Europe/Paris"),
        ("UTC", "UTC"),
        ("CET-1CEST", "America/New_York"),
        ("", "America/New_York"),
    ],
)
def test_tz_counts_where_it_is_a_name(tmp_path: Path, given: str, name: str) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/America/New_York")
    assert local_zone({"TZ": given}, link=link, name_file=tmp_path / "none") == name


def test_without_a_link_the_file_counts(tmp_path: Path) -> None:
    name_file = tmp_path / "timezone"
    name_file.write_text("Africa/Casablanca\n")
    assert local_zone({}, link=tmp_path / "none", name_file=name_file) == "Africa/Casablanca"


def test_where_nobody_says_it_is_utc(tmp_path: Path) -> None:
    copied = tmp_path / "localtime"
    copied.write_bytes(b"TZif2")
    assert local_zone({}, link=copied, name_file=tmp_path / "none") == "UTC"
    name_file = tmp_path / "timezone"
    name_file.write_bytes(b"\xff\xfe")
    assert local_zone({}, link=copied, name_file=name_file) == "UTC"
