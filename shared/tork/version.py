"""The version of the distribution, in the one place where it is written. Reading it costs nothing, unlike package metadata."""

from __future__ import annotations

VERSION = "0.1.0"
