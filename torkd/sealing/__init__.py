"""Sealing: the operator's words and clear bytes go in, bytes that only a holder of those words can read come out."""

from torkd.sealing.bodies import SealedBodies
from torkd.sealing.key_ring import Damaged, KeyMissing, KeyRing, Sealer

__all__ = ["Damaged", "KeyMissing", "KeyRing", "SealedBodies", "Sealer"]
