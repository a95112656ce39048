"""The Compose file that we ship: every setting in it is one, what it names is there, and its certificates are good for TLS."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from torkd.settings import Loaded, Settings, load_settings

FOLDER = Path(__file__).parents[2] / "contrib" / "compose"
PAGE = FOLDER.parents[1] / "docs" / "deployment.md"
TEXT = (FOLDER / "compose.yaml").read_text()
COMPOSE: Any = yaml.safe_load(re.sub(r"\$\{(\w+):\?[^}]*\}", r"value-of-\1", TEXT))
SERVICES: dict[str, Any] = COMPOSE["services"]
COORDINATORS = [name for name, service in SERVICES.items() if service.get("command") == ["run", "coordinator"]]
WORKERS = [name for name, service in SERVICES.items() if service.get("command") == ["run", "worker"]]
DAEMONS = COORDINATORS + WORKERS
SERVERS = ["postgres", "rabbitmq"]


def loaded(name: str, folder: Path) -> Loaded:
    return load_settings(SERVICES[name]["environment"], cwd=folder, home=folder)


def test_there_are_two_coordinators_and_three_workers() -> None:
    assert (len(COORDINATORS), len(WORKERS)) == (2, 3)


@pytest.mark.parametrize("name", DAEMONS)
def test_every_variable_is_a_setting_and_every_value_is_right(name: str, tmp_path: Path) -> None:
    environment = SERVICES[name]["environment"]
    assert all(variable.startswith("TORK_") and isinstance(value, str) for variable, value in environment.items())
    assert list(loaded(name, tmp_path).warnings) == []


def test_a_variable_that_is_no_setting_would_be_noticed(tmp_path: Path) -> None:
    environment = {**SERVICES["worker-1"]["environment"], "TORK_BROKER_RABBIT_URL": "x"}
    assert list(load_settings(environment, cwd=tmp_path, home=tmp_path).warnings)


@pytest.mark.parametrize("name", DAEMONS)
def test_the_broker_is_reached_by_tls_and_known_by_its_certificate(name: str, tmp_path: Path) -> None:
    settings = loaded(name, tmp_path).settings
    assert settings.broker.type == "rabbitmq"
    url = urlsplit(settings.broker.rabbitmq.url)
    assert (url.scheme, url.hostname, url.port) == ("amqps", "rabbitmq", 5671)
    assert parse_qs(url.query) == {"cacertfile": ["/certificates/ca.pem"]}
    assert "certificates:/certificates:ro" in SERVICES[name]["volumes"]


@pytest.mark.parametrize("name", COORDINATORS)
def test_the_database_is_reached_by_tls_and_known_by_its_certificate(name: str, tmp_path: Path) -> None:
    dsn = dict(part.split("=", 1) for part in loaded(name, tmp_path).settings.datastore.postgres.dsn.split())
    assert (dsn["host"], dsn["sslmode"], dsn["sslrootcert"]) == ("postgres", "verify-full", "/certificates/ca.pem")
    assert "hostssl" in (FOLDER / "pg_hba.conf").read_text()
    assert not re.search(r"^host\s", (FOLDER / "pg_hba.conf").read_text(), re.MULTILINE)
    assert "listeners.tcp = none" in (FOLDER / "rabbitmq.conf").read_text()


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_knows_no_database(name: str) -> None:
    assert not [variable for variable in SERVICES[name]["environment"] if "DATASTORE" in variable]
    assert "postgres" not in SERVICES[name]["depends_on"]


@pytest.mark.parametrize("name", DAEMONS)
def test_a_stop_leaves_time_to_drain(name: str) -> None:
    worker = Settings().worker
    seconds = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    assert timedelta(seconds=seconds) > worker.drain + worker.grace + timedelta(seconds=5)


@pytest.mark.parametrize("name", DAEMONS)
def test_health_is_asked_where_the_daemon_listens(name: str, tmp_path: Path) -> None:
    settings = loaded(name, tmp_path).settings
    address = settings.coordinator.address if name in COORDINATORS else settings.worker.address
    assert address is not None
    assert urlsplit(settings.client.endpoint).port == int(address.rpartition(":")[2])
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "torkd", "health"]


def test_daemons_have_names_and_data_of_their_own() -> None:
    names = [SERVICES[name]["environment"].get(f"TORK_{kind}_NAME") for kind, of in
             (("COORDINATOR", COORDINATORS), ("WORKER", WORKERS)) for name in of]  # fmt: skip
    assert names == DAEMONS
    data = [volume for name in DAEMONS for volume in SERVICES[name]["volumes"] if volume.endswith(":/var/lib/tork")]
    assert len(set(data)) == len(DAEMONS)


def test_what_services_name_is_there() -> None:
    volumes = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    assert {volume for volume in volumes if not volume.startswith(".")} == set(COMPOSE["volumes"])
    assert [volume for volume in volumes if volume.startswith(".") and not (FOLDER / volume).is_file()] == []
    needed = {other for service in SERVICES.values() for other in service.get("depends_on", {})}
    assert needed <= set(SERVICES)
    build = SERVICES["worker-1"]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).is_file()
    copied = re.findall(r"^COPY (.*) \S+$", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert [name for names in copied for name in names.split() if not (FOLDER / build["context"] / name).exists()] == []
    ports = [port.rsplit(":", 1)[0] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(set(ports)) == len(ports)


def test_no_password_is_in_it() -> None:
    assert re.findall(r"(?:password=|PASS(?:WORD)?: |tork:)(?!\$\{)(\w+)", TEXT) == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


def make_certificates(directory: Path) -> None:
    script = FOLDER / "certificates.sh"
    ran = subprocess.run(["sh", str(script), str(directory)], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr


def handshake(certificates: Path, server: str, asked: str) -> str:
    """What the client says of the server's certificate: nothing when it is good for the name that was asked for."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificates / f"{server}.pem", certificates / f"{server}.key")
    client = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            ours.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()  # the client has refused us

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(here, server_hostname=asked).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        here.close()
        thread.join(10)
    return ""


@pytest.mark.parametrize("server", SERVERS)
def test_the_certificates_prove_the_servers_names_and_no_others(certificates: Path, server: str) -> None:
    assert handshake(certificates, server, server) == ""
    assert "mismatch" in handshake(certificates, server, "elsewhere")


@pytest.mark.parametrize("server", SERVERS)
def test_keys_are_secret_and_certificates_are_not(certificates: Path, server: str) -> None:
    assert (certificates / f"{server}.key").stat().st_mode & 0o077 == 0
    assert (certificates / f"{server}.pem").stat().st_mode & 0o044 == 0o044


def test_certificates_that_are_there_stay(certificates: Path) -> None:
    before = {path.name: path.read_bytes() for path in certificates.iterdir()}
    make_certificates(certificates)
    assert {path.name: path.read_bytes() for path in certificates.iterdir()} == before


def test_the_page_explains_it() -> None:
    page = PAGE.read_text()
    assert [name for name in ("compose.yaml", "certificates.sh", ".env") if name not in page] == []


def environments_of_the_page() -> list[dict[str, str]]:
    blocks = re.findall(r"```ini\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [[line for line in block.splitlines() if line and not line.startswith("#")] for block in blocks]
    return [dict(line.split("=", 1) for line in block) for block in lines]


def test_every_setting_of_the_page_is_one(tmp_path: Path) -> None:
    """Values in it are examples: what counts is that the daemon would take them."""
    environments = environments_of_the_page()
    for environment in environments:
        assert list(load_settings(environment, cwd=tmp_path, home=tmp_path).warnings) == [], environment
    assert environments


def test_the_workers_of_the_page_run_the_job_of_the_page(tmp_path: Path) -> None:
    """It has no image, and a worker that is told nothing uses Docker."""
    example = "examples/hello.yaml"
    assert example in PAGE.read_text()
    assert "image:" not in (FOLDER.parents[1] / example).read_text()
    (worker,) = [environment for environment in environments_of_the_page() if "TORK_WORKER_NAME" in environment]
    runtime = load_settings(worker, cwd=tmp_path, home=tmp_path).runtime_type(standalone=False)
    assert runtime in {"auto", "shell"}
