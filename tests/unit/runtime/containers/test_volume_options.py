"""The options of volumes must not open what the rules of binds close."""

from __future__ import annotations

from pathlib import Path

import pytest

from tork.errors import RuntimeFailure
from torkd.runtime.containers.bind_rules import BindRules
from torkd.runtime.containers.volume_options import check_volume_options

NO_BINDS = BindRules(False, [])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": "10m"},
        {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000"},
        {"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/export"},
        {"type": "cifs", "device": "//server/share", "o": "username=u"},
        {"o": "uid=1000"},
    ],
    ids=["none", "size", "tmpfs", "nfs", "cifs", "owner"],
)
def test_what_shows_nothing_of_the_host_goes_to_the_driver(options: dict[str, str]) -> None:
    assert check_volume_options(options, NO_BINDS, on_this_host=True) == options


@pytest.mark.parametrize(
    "options",
    [
        {"type": "none", "o": "bind", "device": "/etc"},
        {"type": "none", "o": "rw,rbind", "device": "/etc"},
        {"type": "tmpfs", "o": "BIND", "device": "/etc"},
        {"type": "bind", "device": "/etc"},
        {"Type": "none", "O": "bind", "Device": "/etc"},
    ],
    ids=["bind", "rbind among others", "bind of a harmless type", "bind as type", "names in capitals"],
)
def test_a_bind_in_other_words_obeys_the_rules_of_binds(options: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match=r"^bind mounts are not allowed"):
        check_volume_options(options, NO_BINDS, on_this_host=True)
    with pytest.raises(RuntimeFailure, match=r"^src bind mount is not allowed: /etc"):
        check_volume_options(options, BindRules(True, [str(tmp_path)]), on_this_host=True)


def test_an_allowed_bind_gets_its_real_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    options = {"type": "none", "o": "bind", "device": str(tmp_path / "link")}
    checked = check_volume_options(options, BindRules(True, [str(tmp_path)]), on_this_host=True)
    assert checked == {**options, "device": str((tmp_path / "real").resolve())}


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"type": "ext4", "device": "/dev/vda"}, "type is not allowed: ext4"),
        ({"device": "/dev/vda"}, "type is not allowed: /dev/vda"),
        ({"type": "overlay", "device": "overlay", "o": "lowerdir=/etc"}, "type is not allowed: overlay"),
        ({"type": "fuse.x", "device": "x"}, "type is not allowed: fuse.x"),
        ({"type": "none", "device": "/etc"}, "type is not allowed: none"),
        ({"type": "tmpfs", "o": "remount"}, "o is not allowed: remount"),
        ({"type": "nfs", "o": "rw, loop=/dev/loop0"}, "o is not allowed: loop"),
        ({"type": "proc", "device": "proc"}, "type is not allowed: proc"),
        ({"type": "tmpfs", "o": "size=1m, X-mount.subdir=../../../etc"}, "o is not allowed: x-mount.subdir"),
        ({"type": "cifs", "device": "//server/share", "o": "credentials=/srv/x"}, "o is not allowed: credentials"),
        ({"type": "tmpfs", "device": "-T/srv/fstab"}, "device is not allowed: -T/srv/fstab"),
    ],
    ids=[
        "disk",
        "disk without type",
        "overlay",
        "fuse",
        "none",
        "remount",
        "loop",
        "proc",
        "subdirectory by mount(8)",
        "file of credentials",
        "option of mount(8) as device",
    ],
)
def test_other_file_systems_are_refused_even_where_binds_are_allowed(options: dict[str, str], shown: str) -> None:
    with pytest.raises(RuntimeFailure, match=f"^volume option {shown} "):
        check_volume_options(options, BindRules(True, ["/"]), on_this_host=True)


def test_a_name_in_two_spellings_is_refused() -> None:
    with pytest.raises(RuntimeFailure, match="same name twice"):
        check_volume_options({"type": "tmpfs", "Type": "none"}, NO_BINDS, on_this_host=True)
