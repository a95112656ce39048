"""What HTTPS needs is looked at before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.certificates import CERTIFICATE_FILE, KEY_FILE, make_certificates
from tork.errors import StartError
from torkd.serving import tls_of
from torkd.settings import Settings, load_settings


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("certificates")
    make_certificates(place)
    key = load_pem_private_key((place / KEY_FILE).read_bytes(), None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush"))
    (place / "sealed.key").write_bytes(sealed)
    (place / "rubbish").write_text("rubbish")
    return place


def settings(place: Path, cert: str | None, key: str | None) -> Settings:
    given = {"TORK_COORDINATOR_TLS_CERT": cert, "TORK_COORDINATOR_TLS_KEY": key}
    environ = {name: str(place / file) for name, file in given.items() if file}
    return load_settings(environ, cwd=place, home=place, system=place).settings


def test_a_pair_is_used(place: Path) -> None:
    tls = tls_of(settings(place, CERTIFICATE_FILE, KEY_FILE))
    assert tls is not None
    assert (tls.certificate, tls.key) == (place / CERTIFICATE_FILE, place / KEY_FILE)


def test_without_any_it_is_plain_http(place: Path) -> None:
    assert tls_of(settings(place, None, None)) is None


@pytest.mark.parametrize(
    ("cert", "key", "told"),
    [
        (CERTIFICATE_FILE, None, "coordinator.tls.cert is set without coordinator.tls.key"),
        (None, KEY_FILE, "coordinator.tls.key is set without coordinator.tls.cert"),
        ("missing", KEY_FILE, "can't be read: No such file or directory"),
        ("rubbish", KEY_FILE, "can't be used: "),
        (CERTIFICATE_FILE, "rubbish", "can't be used: "),
        ("ca.pem", KEY_FILE, "can't be used: "),
        (CERTIFICATE_FILE, "sealed.key", "the key without a passphrase"),
    ],
)
def test_anything_else_ends_the_start_with_a_sentence(
    place: Path, cert: str | None, key: str | None, told: str
) -> None:
    with pytest.raises(StartError) as caught:
        tls_of(settings(place, cert, key))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
