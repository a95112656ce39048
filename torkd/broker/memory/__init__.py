"""The broker of a process that is alone: messages go in as values and come out as the same values, nothing is stored."""

from torkd.broker.memory.broker import MemoryBroker

__all__ = ["MemoryBroker"]
