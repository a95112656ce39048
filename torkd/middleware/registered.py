"""What each side of the engine calls of all that is registered. Without any, each is empty and costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from torkd.middleware.chain import Chain


@dataclass(frozen=True, kw_only=True, slots=True)
class RunHooks:
    """What a worker calls."""

    before_run: Chain = field(default_factory=Chain)
    after_run: Chain = field(default_factory=Chain)
    printed: Chain = field(default_factory=Chain)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a coordinator tells of, after the commit."""

    job: Chain = field(default_factory=Chain)
    task: Chain = field(default_factory=Chain)
    node: Chain = field(default_factory=Chain)

    def __bool__(self) -> bool:
        return bool(self.job or self.task or self.node)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What documents pass on their way out of the API."""

    job: Chain = field(default_factory=Chain)
    task: Chain = field(default_factory=Chain)
    log: Chain = field(default_factory=Chain)

    def __bool__(self) -> bool:
        return bool(self.job or self.task or self.log)
