"""nginx before torkd, as the docs have it: with credentials for the web UI, and with TLS for everybody."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE, make_certificates
from tests.support.daemon import Daemon
from tests.support.gates import Gate
from tests.support.http_cases import call
from tests.support.postgres import free_port
from tests.support.server_process import start_server, stop_server

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ACCOUNTS = (ROOT / "docs" / "accounts.md").read_text(encoding="utf-8")
(TLS_SERVER,) = re.findall(r"```nginx\n(.*?)```", ACCOUNTS, re.DOTALL)
SET_UP = re.findall(r"^\$ (.*/etc/nginx.*)$", API, re.MULTILINE)
TO_TLS = re.findall(r"`(proxy_ssl_[^`]+)`", API)
"""What is added where torkd speaks TLS; the server with TLS stands for it."""
PAGES_READ = ("/jobs?page=1&q=", "/metrics", "/scheduled-jobs", "/nodes", "/queues")
"""By the UI."""
MAIN = """
daemon off;
user {user};
pid {base}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {base}/body;
    proxy_temp_path {base}/proxy;
    fastcgi_temp_path {base}/fastcgi;
    uwsgi_temp_path {base}/uwsgi;
    scgi_temp_path {base}/scgi;
    include {base}/conf.d/*.conf;
}}
"""


class Proxied:
    """torkd that asks for keys, and nginx before it."""

    def __init__(self, daemon: Daemon, base: Path) -> None:
        self.daemon = daemon
        self.for_the_ui = f"http://127.0.0.1:{free_port()}"
        self.with_tls = f"https://localhost:{free_port()}"
        self.to_tls = f"http://127.0.0.1:{free_port()}"
        self.trust = ssl.create_default_context(cafile=base / CA_FILE)
        self._base = base
        self._places = {
            "/etc/nginx/tork.pem": str(base / CERTIFICATE_FILE),
            "/etc/nginx/tork.key": str(base / KEY_FILE),
            "/etc/nginx": str(base),
            "127.0.0.1:8090": self.for_the_ui.removeprefix("http://"),
            "127.0.0.1:8000": f"127.0.0.1:{daemon.port}",
            "443 ssl": f"127.0.0.1:{self.with_tls.rpartition(':')[2]} ssl",
        }

    def here(self, text: str) -> str:
        """What the docs say, with the places of this test."""
        for shown, real in self._places.items():
            text = text.replace(shown, real)
        return text

    def set_up(self) -> None:
        """Type the commands of the docs, and write its server with TLS."""
        (self._base / "conf.d").mkdir()
        path = f"{Path(sys.executable).parent}:{self.daemon.environment['PATH']}"
        for command in SET_UP:
            subprocess.run(
                ["bash", "-ec", self.here(command)], check=True, cwd=ROOT, env=self.daemon.environment | {"PATH": path}
            )
        copied = self._base / "conf.d" / "tork-web.conf"
        for_the_ui = self.here(copied.read_text())
        copied.write_text(for_the_ui)
        to_tls = for_the_ui.replace(self.for_the_ui.removeprefix("http://"), self.to_tls.removeprefix("http://"))
        for directive in TO_TLS:
            to_tls = to_tls.replace("proxy_http_version", f"{directive};\n        proxy_http_version")
        to_tls = to_tls.replace(f"http://127.0.0.1:{self.daemon.port}", self.with_tls)
        (self._base / "conf.d" / "to-tls.conf").write_text(to_tls.replace("FILE", str(self._base / CA_FILE)))
        (self._base / "conf.d" / "tls.conf").write_text(self.here(TLS_SERVER))
        (self._base / "nginx.conf").write_text(MAIN.format(base=self._base, user=pwd.getpwuid(os.getuid()).pw_name))

    def is_up(self) -> bool:
        try:
            return call(self.for_the_ui, "GET", "/health").status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    base = tmp_path_factory.mktemp("nginx")
    make_certificates(base)
    with Daemon({"TORK_MIDDLEWARE_WEB_KEYAUTH_ENABLED": "true"}) as daemon:
        proxied = Proxied(daemon, base)
        proxied.set_up()
        command = ["nginx", "-p", str(base), "-c", str(base / "nginx.conf")]
        server: subprocess.Popen[bytes] | None = None
        try:
            server = start_server(base, command, ready=proxied.is_up)
            yield proxied
        finally:
            stop_server(base)
            if server is not None:
                server.wait(10)


def test_the_file_with_the_key_is_for_its_owner_only(proxied: Proxied) -> None:
    assert len(SET_UP) == 2
    assert Path(proxied.here("/etc/nginx/tork-web.key")).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", PAGES_READ)
def test_the_ui_reads_its_pages_without_credentials(proxied: Proxied, path: str) -> None:
    assert call(proxied.daemon.endpoint, "GET", path).json == {"message": "missing key in request header"}
    answer = call(proxied.for_the_ui, "GET", path)
    assert (answer.status, "message" in answer.json) == (200, False)


def test_what_the_ui_submits_is_the_keys(proxied: Proxied) -> None:
    sent = {"Content-Type": "text/yaml", "Authorization": "Bearer of-somebody-else"}
    job = call(proxied.for_the_ui, "POST", "/jobs", b"{name: a, tasks: [{name: t, run: sleep 60}]}", sent).json
    assert job["createdBy"]["username"] == "key:web-ui"
    assert call(proxied.for_the_ui, "PUT", f"/jobs/{job['id']}/cancel").json == {"status": "OK"}
    assert call(proxied.for_the_ui, "DELETE", "/queues/default").status == 403


def test_a_body_is_as_large_as_torkd_allows(proxied: Proxied) -> None:
    sent = {"Content-Type": "application/json"}
    largest = json.dumps({"name": "a", "tasks": []}).encode().ljust(500_000)
    assert call(proxied.for_the_ui, "POST", "/jobs", largest, sent).status == 400
    refused = call(proxied.for_the_ui, "POST", "/jobs", largest + b" ", sent)
    assert (refused.status, refused.json) == (413, {"message": "Request Entity Too Large"})


@pytest.mark.parametrize("with_tls", [False, True], ids=["for-the-ui", "tls"])
def test_what_a_task_prints_comes_while_it_runs(proxied: Proxied, with_tls: bool) -> None:
    gate = Gate(proxied.daemon.base / f"gate-{with_tls}")
    sent = {"Content-Type": "application/json"}
    job = call(proxied.for_the_ui, "POST", "/jobs", json.dumps(gate.job()).encode(), sent).json
    place = proxied.with_tls if with_tls else proxied.for_the_ui
    key = re.findall(r"torkd_\w[\w-]*", Path(proxied.here("/etc/nginx/tork-web.key")).read_text())[0]
    headers = {"Authorization": f"Bearer {key}"} if with_tls else {}
    events: list[str] = []
    with httpx2.stream("GET", f"{place}/jobs/{job['id']}/log/stream", headers=headers, verify=proxied.trust) as told:
        assert told.status_code == 200
        for line in told.iter_lines():
            if line.startswith("data:") and "started" in line:
                events.append("started")
                gate.open()
            events += ["end"] if line == "event: end" else []
    assert events == ["started", "end"]


def test_with_tls_everybody_brings_credentials_of_their_own(proxied: Proxied) -> None:
    answer = httpx2.get(f"{proxied.with_tls}/jobs", verify=proxied.trust)
    assert (answer.status_code, answer.json()) == (400, {"message": "missing key in request header"})


def test_the_ui_is_also_served_by_a_torkd_with_tls(proxied: Proxied) -> None:
    assert len(TO_TLS) == 2
    assert call(proxied.to_tls, "GET", "/users/me").json["username"] == "key:web-ui"
