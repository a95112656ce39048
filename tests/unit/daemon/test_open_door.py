"""What a daemon says at its start that others can reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from torkd.serving import warn_of_open_door
from torkd.settings import load_settings

ALL = {"TORK_COORDINATOR_ADDRESS": "0.0.0.0:8000"}
ASKING = {**ALL, "TORK_MIDDLEWARE_WEB_KEYAUTH_ENABLED": "true"}
TLS = {"TORK_COORDINATOR_TLS_CERT": "a.pem", "TORK_COORDINATOR_TLS_KEY": "a.key"}


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, None),
        ({"TORK_COORDINATOR_ADDRESS": "127.0.0.1:8000"}, None),
        (ALL, "whoever reaches 0.0.0.0:8000 may do everything"),
        ({**ALL, **TLS}, "whoever reaches 0.0.0.0:8000 may do everything"),
        (ASKING, "passwords and keys come to 0.0.0.0:8000 in clear"),
        ({**ASKING, **TLS}, None),
        ({**ASKING, "TORK_MIDDLEWARE_WEB_TRUSTED_PROXIES": "10.0.0.7"}, None),
    ],
)
def test_doors_that_are_open_are_told_of(
    environ: dict[str, str], told: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loaded = load_settings(environ, cwd=tmp_path, home=tmp_path, is_root=False)
    warn_of_open_door(loaded.settings)
    assert len(caplog.messages) == (told is not None)
    assert (told or "") in caplog.text
