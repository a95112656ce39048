"""The settings of the container runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ContainerOptions:
    """What an operator decides about containers, whichever engine runs them."""

    node_id: str
    privileged: bool = False
    grace_seconds: float = 10.0
    """Between TERM and KILL."""
    credentials_file: Path = Path("~/.docker/config.json")
    image_ttl_seconds: float | None = 72 * 3600.0
    """How long an unused image is kept; None for ever."""
    image_keep: tuple[str, ...] = ()
    """Patterns of images that are never removed."""
    image_verify: bool = False
    runs: Path | None = None
    """The directory of all nodes' runs, a directory each; what is left there of dead ones is removed with their containers."""
    reap_seconds: float = 60.0
    """How often leftovers are looked for."""
    patience_seconds: float = 10.0
    """How long a run waits for an engine that went away in its midst."""
    gone_after_seconds: float = 15.0
    """After how long without its owner a run of another node of this host counts as left over."""
