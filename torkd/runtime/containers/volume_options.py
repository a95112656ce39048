"""What a task may ask of its volumes' driver: the options are arguments of mount(2), which the engine calls as root.

So `type: none, o: bind, device: /etc` is a bind mount in other words, and a disk's device is the whole disk. A bind obeys the
rules of binds; otherwise only file systems are mounted that show nothing of the host.
"""

from __future__ import annotations

from collections.abc import Mapping

from tork.errors import RuntimeFailure
from torkd.runtime.containers.bind_rules import BindRules

HARMLESS_TYPES = ("tmpfs", "nfs", "nfs4", "cifs")
_BINDS = frozenset({"bind", "rbind"})
_MOVES = frozenset({"move", "remount", "loop", "overlay", "helper", "uhelper", "cred", "credentials"})
"""Words of `o` that make even a harmless type show another part of the host."""
_OF_MOUNT_COMMAND = "x-"
"""How options begin that are not the file system's but mount(8)'s, which Podman calls: `X-mount.subdir=../../../etc` is a bind."""


def check_volume_options(options: Mapping[str, str], rules: BindRules, *, on_this_host: bool) -> dict[str, str]:
    """The options to give to the engine. Raises `RuntimeFailure` for those that would show the task more of the host."""
    checked = {name.strip().lower(): value for name, value in options.items()}  # Podman takes them in any case
    if len(checked) != len(options):
        raise RuntimeFailure("volume options hold the same name twice (right would be each name once)")
    kind, device = checked.get("type", "").strip(), checked.get("device", "")
    words = {word.strip().partition("=")[0].lower() for word in checked.get("o", "").split(",")}
    if forbidden := sorted(word for word in words if word in _MOVES or word.startswith(_OF_MOUNT_COMMAND)):
        raise RuntimeFailure(
            f"volume option o is not allowed: {forbidden[0]} (right would be an option of {_HARMLESS})"
        )
    if device.lstrip().startswith("-"):  # mount(8) would take it for an option
        raise RuntimeFailure(
            f"volume option device is not allowed: {device} (right would be a name without '-' before it)"
        )
    if words & _BINDS or kind.lower() in _BINDS:
        checked["device"] = rules.check(device, on_this_host=on_this_host).path
    elif (kind or device) and kind not in HARMLESS_TYPES:
        raise RuntimeFailure(f"volume option type is not allowed: {kind or device} (right would be {_HARMLESS})")
    return checked


_HARMLESS = f"{', '.join(HARMLESS_TYPES[:-1])} or {HARMLESS_TYPES[-1]}"
