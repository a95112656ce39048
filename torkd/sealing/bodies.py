"""Bodies of messages, and files of runs, sealed where there is a key. A mark in front tells them from clear ones, which are always read.

So a cluster can be given a key, or another one, process by process.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64

from torkd.sealing.key_ring import Damaged, KeyRing

MARK = b"torkd-sealed:"
"""No JSON begins like this."""
_UNKNOWN = "it is sealed in a way that is not known here"


class SealedBodies:
    """Seals and opens bodies of one purpose."""

    def __init__(self, keys: KeyRing | None = None, purpose: str = "message") -> None:
        """Without keys bodies travel in clear, and a sealed one is known as such."""
        self._sealer = (keys or KeyRing()).sealer(purpose)

    def seal(self, data: bytes) -> bytes:
        """The body as it travels. What is sealed already stays as it is."""
        if not self._sealer.is_sealing or data.startswith(MARK):
            return data
        return MARK + self._sealer.seal(data)

    def open(self, data: bytes) -> bytes:
        """The body as it was. Raises `KeyMissing` and `Damaged`."""
        return self._sealer.open(data[len(MARK) :]) if data.startswith(MARK) else data

    def is_as_wanted(self, data: bytes) -> bool:
        """Whether a body that rests somewhere is as `seal` would leave it now: sealed with the key of now, or clear without one."""
        return self._sealer.is_current(data[len(MARK) :]) if self._sealer.is_sealing else not data.startswith(MARK)

    def is_sealed(self, data: bytes) -> bool:
        """Whether it is, with whatever key."""
        return data.startswith(MARK)

    def is_text_as_wanted(self, text: str) -> bool:
        """The same as `is_as_wanted`, of a text in a header."""
        sealed = text.startswith(MARK.decode())
        return sealed == self._sealer.is_sealing and (not sealed or self._sealer.is_current(_decoded(text)))

    def seal_text(self, text: str) -> str:
        """A text as it travels in a header."""
        return text if not self._sealer.is_sealing else (MARK + b64encode(self._sealer.seal(text.encode()))).decode()

    def open_text(self, text: str) -> str:
        """The text as it was. Raises `KeyMissing` and `Damaged`."""
        if not text.startswith(MARK.decode()):
            return text
        try:
            return self._sealer.open(_decoded(text)).decode()
        except UnicodeDecodeError:
            raise Damaged(_UNKNOWN) from None


def _decoded(text: str) -> bytes:
    """What stands behind the mark. Raises `Damaged`."""
    try:
        return b64decode(text.removeprefix(MARK.decode()), validate=True)
    except (NotBase64, ValueError):
        raise Damaged(_UNKNOWN) from None
