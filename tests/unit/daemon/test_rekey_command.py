from __future__ import annotations

from pathlib import Path

import pytest

from torkd.__main__ import USAGE, main


@pytest.mark.parametrize(
    ("settings", "options", "sentence"),
    [
        ({}, [], "there is no key to seal with"),
        ({"OLDER_KEYS": "old"}, [], "there is no key to seal with"),
        ({"KEY": "new"}, ["--clear"], "would seal it all again"),
    ],
    ids=["no key", "older keys alone", "clear with a key"],
)
def test_keys_that_do_not_fit_are_refused(
    settings: dict[str, str],
    options: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in settings.items():
        monkeypatch.setenv(f"TORK_DATASTORE_ENCRYPTION_{name}", value)
    assert main(["rekey", *options]) == USAGE
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""
