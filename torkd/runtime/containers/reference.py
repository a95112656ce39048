"""Image references as Docker reads them: where the image comes from, what it is called there, which version is meant.

Two texts that mean the same image have the same `canonical`. The host is decided by Docker's own rule, so `jrottenberg/ffmpeg`
is a repository of the Hub and not one of a host `jrottenberg`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tork.errors import RuntimeFailure

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
"""Under which Docker keeps what it knows of the Hub: its credentials most of all."""
HUB_HOSTS = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
_OFFICIAL = "library/"
_LATEST = "latest"
_LONGEST_NAME = 255
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_HEX_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_ID_BEGINNING = re.compile(r"[0-9a-f]+")
"""Behind `sha256:` Docker takes it for the beginning of an id, before it looks for a name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageReference:
    """A reference to an image, with everything said that its text left out."""

    host: str
    """The registry's, with its port if one was given; `docker.io` is the Hub."""
    path: str
    """The repository's name at that host, such as `library/ubuntu`."""
    tag: str
    """`latest` when none was given; empty when a digest says which one."""
    digest: str = ""

    @property
    def repository(self) -> str:
        """What the pull API calls `fromImage`."""
        return f"{self.host}/{self.path}"

    @property
    def version(self) -> str:
        """What the pull API calls `tag`: the tag or the digest."""
        return self.digest or self.tag

    @property
    def canonical(self) -> str:
        """The same for every text that means this image."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"

    @property
    def registry_key(self) -> str:
        """What credentials are looked up by: the host, or Docker's key of the Hub."""
        return HUB_KEY if self.host == HUB else self.host


def parse_reference(text: str) -> ImageReference:
    """Read `[host[:port]/]name[:tag][@digest]`. With a digest the tag says nothing, and is dropped. Raises `RuntimeFailure`."""
    rest, at, digest = text.partition("@")
    host, rest = _split_host(rest)
    path, colon, tag = rest.partition(":")
    if path.lower() != path and _PATH.fullmatch(path.lower()):
        raise _failure(text, "has upper-case letters in its name", f"{path.lower()!r}")
    well_formed = (
        _HOST.fullmatch(host)
        and _PATH.fullmatch(path)
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _is_digest(digest))
    )
    if not well_formed:
        raise _failure(text, "can't be read", "[host[:port]/]name[:tag][@digest], such as alpine:3.20")
    host = HUB if host in HUB_HOSTS else host
    if _IMAGE_ID.fullmatch(path) or (path == "sha256" and _ID_BEGINNING.fullmatch(tag)):
        raise _failure(text, "is an image's id", "its name")
    if host == HUB and "/" not in path:
        path = _OFFICIAL + path
    if len(f"{host}/{path}") > _LONGEST_NAME:
        raise _failure(text, "has too long a name", f"at most {_LONGEST_NAME} characters")
    return ImageReference(host=host, path=path, tag="" if digest else tag or _LATEST, digest=digest)


def _split_host(text: str) -> tuple[str, str]:
    """What stands before the first `/` is a host only when it can't be a part of a name."""
    first, slash, rest = text.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    return (first, rest) if is_host else (HUB, text)


def _is_digest(text: str) -> bool:
    algorithm, _, digits = text.partition(":")
    return bool(_DIGEST.fullmatch(text)) and len(digits) == _HEX_LENGTHS.get(algorithm, len(digits))


def _failure(text: str, fault: str, right: str) -> RuntimeFailure:
    shown = text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"
    return RuntimeFailure(f"image {shown!r} {fault} (right would be {right})")
