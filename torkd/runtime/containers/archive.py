"""Tar archives as an engine unpacks them into a container: only files, so that no directory that is there changes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping


def archive_of(files: Mapping[str, tuple[bytes, int]], directories: Mapping[str, int] | None = None) -> bytes:
    """An archive of files, by path: content and mode; with directories, by path: mode. All belong to root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, mode in (directories or {}).items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.type, member.mode = tarfile.DIRTYPE, mode
            archive.addfile(member)
        for path, (content, mode) in files.items():
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
