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
_MOVES = frozenset({"move", "remount", "loop", "overlay", "helper"})
"""Words of `o` that make even a harmless type show another part of the host."""


def check_volume_options(options: Mapping[str, str], rules: BindRules, *, on_this_host: bool) -> dict[str, str]:
    """The options to give to the engine. Raises `RuntimeFailure` for those that would show the task more of the host."""
    checked = {name.strip().lower(): value for name, value in options.items()}  # Podman takes them in any case
    if len(checked) != len(options):
        raise RuntimeFailure("volume options hold the same name twice (right would be each name once)")
    kind, device = checked.get("type", "").strip(), checked.get("device", "")
    words = {word.strip().partition("=")[0].lower() for word in checked.get("o", "").split(",")}
    if forbidden := sorted(words & _MOVES):
        raise RuntimeFailure(
            f"volume option o is not allowed: {forbidden[0]} (right would be an option of {_HARMLESS})"
        )
    if words & _BINDS or kind.lower() in _BINDS:
        checked["device"] = rules.check(device, on_this_host=on_this_host).path
    elif (kind or device) and kind not in HARMLESS_TYPES:
        raise RuntimeFailure(f"volume option type is not allowed: {kind or device} (right would be {_HARMLESS})")
    return checked


_HARMLESS = f"{', '.join(HARMLESS_TYPES[:-1])} or {HARMLESS_TYPES[-1]}"
