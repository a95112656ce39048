"""Bodies of messages, and files of runs, sealed where there is a key. A mark in front tells them from clear ones, which are always read.

So a cluster can be given a key, or another one, process by process.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64

from torkd.sealing.key_ring import Damaged, KeyRing

MARK = b"torkd-sealed:"
"""No JSON begins like this."""


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

    def seal_text(self, text: str) -> str:
        """A text as it travels in a header."""
        return text if not self._sealer.is_sealing else (MARK + b64encode(self._sealer.seal(text.encode()))).decode()

    def open_text(self, text: str) -> str:
        """The text as it was. Raises `KeyMissing` and `Damaged`."""
        mark = MARK.decode()
        if not text.startswith(mark):
            return text
        try:
            return self._sealer.open(b64decode(text.removeprefix(mark), validate=True)).decode()
        except (NotBase64, ValueError):
            raise Damaged("it is sealed in a way that is not known here") from None
