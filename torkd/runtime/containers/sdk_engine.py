"""An engine behind the docker SDK: Docker itself, and Podman through its Docker-compatible API.

What differs between the two is in `differences.py`; nothing here asks which one it is.
"""

from __future__ import annotations

import base64
import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import docker
import requests
from docker.utils import parse_repository_tag
from urllib3.exceptions import ReadTimeoutError

from torkd.runtime.containers.differences import Differences
from torkd.runtime.containers.engine import (
    ContainerState,
    Credentials,
    EngineError,
    EngineUnavailable,
    LogStream,
    Resource,
    ResourceBusy,
    ResourceMissing,
    Standing,
)
from torkd.runtime.containers.sdk_errors import reason, refused, translated
from torkd.runtime.containers.sdk_streams import SdkLogStream, SdkPullStream
from torkd.runtime.containers.socket_client import SocketClient

CALL_SECONDS = 60.0
"""How long an answer may take. A loaded engine is slow, a dead one refuses at once."""
_PING_SECONDS = 5.0
_CONNECTIONS = 512
"""So many are kept. They are made when needed, and one more is made all the same, but urllib3 warns of it."""
_REMOVE_TRIES = 20
_REMOVE_PAUSE_SECONDS = 0.1
_GOOD = 400
_HEADERS_SIZE = 64 * 1024
"""More than the headers before a file's content in a tar ever take."""

Client = docker.APIClient
Connect = Callable[[], Client]


class SdkEngine:
    """Connects when first used, and again when it was lost: nothing is asked of an engine that no task needs."""

    def __init__(self, connect: Connect, *, place: str, differences: Differences) -> None:
        self.name = differences.name
        self.place = place
        self.differences = differences
        self._title = f"{differences.name} at {place}"
        self._connect = connect
        self._lock = threading.Lock()
        self._client: Client | None = None

    def ping(self) -> None:
        """Ask for a sign of life."""
        try:
            with translated(self._title):
                client = self._connected()
                client.get(f"{client.base_url}/_ping", timeout=_PING_SECONDS).raise_for_status()
        except EngineUnavailable as error:
            raise EngineUnavailable(f"{error} ({self.differences.advice})") from error

    def has_selinux(self) -> bool:
        """As the engine tells of itself."""
        with translated(self._title):
            options = self._connected().info().get("SecurityOptions") or []
        return any("selinux" in option for option in options)

    def create_container(self, name: str, config: Mapping[str, Any]) -> str:
        """Make it, not started."""
        with translated(self._title):
            client: Any = self._connected()  # the stubs leave these methods out
            return str(client.create_container_from_config(dict(config), name)["Id"])

    def start_container(self, container: str) -> None:
        """Start it."""
        with translated(self._title):
            self._connected().start(container)

    def follow_log(self, container: str, *, follow: bool = True) -> LogStream:
        """Its log from the beginning."""
        asked = {"stdout": 1, "stderr": 1, "follow": int(follow)}
        return SdkLogStream(lambda: self._open("GET", f"/containers/{container}/logs", params=asked), self._title)

    def wait_container(self, container: str) -> int:
        """Block until it has ended."""
        with translated(self._title):
            # One wait may take for days; a null timeout is how the SDK says so.
            answer = self._connected().wait(container, timeout=cast("int", None))
        return int(answer["StatusCode"])

    def wait_briefly(self, container: str, seconds: float) -> int | None:
        """Wait until it has ended, but not for long."""
        if self.place.startswith("ssh://"):  # the SDK's way there knows no timeouts: it would wait for the end
            return None
        with translated(self._title):
            try:
                answer = self._connected().wait(container, timeout=cast("int", seconds))
            except (ReadTimeoutError, requests.exceptions.Timeout):
                return None
            except requests.exceptions.ConnectionError as error:
                # The head of the answer came at once, and nothing more.
                if any(isinstance(argument, ReadTimeoutError) for argument in error.args):
                    return None
                raise
        return int(answer["StatusCode"])

    def inspect_container(self, container: str) -> ContainerState:
        """What it is doing."""
        with translated(self._title):
            found = self._connected().inspect_container(container)
        state = found["State"]
        return ContainerState(
            id=found["Id"],
            standing=_standing(state),
            exit_code=int(state.get("ExitCode") or 0),
            ran_out_of_memory=bool(state.get("OOMKilled")),
            ports=_ports((found.get("NetworkSettings") or {}).get("Ports") or {}),
        )

    def stop_container(self, container: str, grace_seconds: float) -> None:
        """Ask it to end, then make it."""
        try:
            with translated(self._title):
                self._connected().stop(container, timeout=max(round(grace_seconds), 0))
        except ResourceMissing:
            pass

    def remove_container(self, container: str) -> None:
        """Kill and remove it; when this returns it is gone."""
        for _ in range(_REMOVE_TRIES):
            try:
                with translated(self._title):
                    self._connected().remove_container(container, force=True, v=True)
                return
            except ResourceMissing:
                return
            except ResourceBusy:  # somebody else is at it: a removal of before, or the engine itself
                time.sleep(_REMOVE_PAUSE_SECONDS)
        raise EngineError(f"container {container} can't be removed: {self.name} says that it is being removed already")

    def put_archive(self, container: str, path: str, archive: bytes) -> None:
        """Unpack a tar into it."""
        with translated(self._title):
            self._connected().put_archive(container, path, archive)

    def read_file(self, container: str, path: str, limit: int) -> tuple[bytes, int] | None:
        """A plain file of it."""
        try:
            with translated(self._title):
                pieces, _ = self._connected().get_archive(container, path)
                archive = b""
                for piece in pieces:
                    archive += piece
                    if len(archive) > limit + _HEADERS_SIZE:
                        break
        except ResourceMissing:
            return None
        return _plain_file(archive, limit)

    def create_volume(self, name: str, *, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Make it."""
        with translated(self._title):
            self._connected().create_volume(name, driver_opts=dict(options), labels=dict(labels))

    def remove_volume(self, name: str) -> None:
        """Remove it."""
        try:
            with translated(self._title):
                self._connected().remove_volume(name, force=True)
        except ResourceMissing:
            pass

    def create_network(self, name: str, *, labels: Mapping[str, str]) -> None:
        """Make it; names are ours alone, so Docker is asked to refuse a second one."""
        try:
            with translated(self._title):
                self._connected().create_network(name, driver="bridge", labels=dict(labels), check_duplicate=True)
        except EngineError as error:
            raise self.differences.network_error(error) from error

    def remove_network(self, name: str) -> None:
        """Remove it."""
        try:
            with translated(self._title):
                self._connected().remove_network(name)
        except ResourceMissing:
            pass
        except EngineError as error:
            raise self.differences.network_error(error) from error

    def connect_network(self, network: str, container: str, aliases: Sequence[str]) -> None:
        """Put it on one more network."""
        with translated(self._title):
            self._connected().connect_container_to_network(container, network, aliases=list(aliases) or None)

    def list_containers(self, labels: Sequence[str]) -> list[Resource]:
        """All that carry these labels."""
        with translated(self._title):
            found = self._connected().containers(all=True, filters={"label": list(labels)})
        return [Resource(name=str(one["Names"][0]).lstrip("/"), labels=one.get("Labels") or {}) for one in found]

    def list_volumes(self, labels: Sequence[str]) -> list[Resource]:
        """Volumes that carry these labels."""
        with translated(self._title):
            found = self._connected().volumes(filters={"label": list(labels)})
        return [Resource(name=one["Name"], labels=one.get("Labels") or {}) for one in found.get("Volumes") or []]

    def list_networks(self, labels: Sequence[str]) -> list[Resource]:
        """Networks that carry these labels."""
        with translated(self._title):
            found = self._connected().networks(filters={"label": list(labels)})
        return [Resource(name=one["Name"], labels=one.get("Labels") or {}) for one in found]

    def has_image(self, image: str) -> bool:
        """Whether it is here."""
        return bool(self.image_id(image))

    def image_id(self, image: str) -> str:
        """What it is called here."""
        try:
            with translated(self._title):
                client: Any = self._connected()
                return str(client.inspect_image(image)["Id"])
        except ResourceMissing:
            return ""

    def pull_image(self, image: str, credentials: Credentials | None) -> SdkPullStream:
        """Fetch it."""
        repository, tag = parse_repository_tag(image)
        asked = {"fromImage": repository, "tag": tag or "latest"}
        headers = {"X-Registry-Auth": _auth_header(credentials)}
        return SdkPullStream(lambda: self._open("POST", "/images/create", params=asked, headers=headers), self._title)

    def remove_image(self, image: str) -> None:
        """Remove it; not by force, with which Podman would remove the containers of others too, even running ones."""
        try:
            with translated(self._title):
                self._connected().remove_image(image)
        except ResourceMissing:
            pass

    def close(self) -> None:
        """Disconnect."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _open(
        self, method: str, path: str, *, params: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """A request whose answer takes as long as it takes."""
        client = self._connected()
        response = client.request(
            method, self._url(client, path), params=dict(params), headers=dict(headers or {}), stream=True, timeout=None
        )
        if response.status_code >= _GOOD:
            raise refused(response.status_code, reason(response.content))
        return response

    def _url(self, client: Client, path: str) -> str:
        return f"{client.base_url}/v{client.api_version}{path}"


def open_client(base_url: str, **arguments: Any) -> Client:
    """A connection to the engine there, in the newest version of the API that both sides know."""
    if base_url.startswith("unix://"):
        return SocketClient(base_url, timeout=int(CALL_SECONDS), max_pool_size=_CONNECTIONS)
    return Client(base_url=base_url, version="auto", timeout=int(CALL_SECONDS), max_pool_size=_CONNECTIONS, **arguments)


def _auth_header(credentials: Credentials | None) -> str:
    if credentials is None:
        return _encoded({})
    if credentials.identity_token:
        return _encoded({"identitytoken": credentials.identity_token})
    return _encoded({"username": credentials.username, "password": credentials.password})


def _encoded(auth: dict[str, str]) -> str:
    """As Docker's API wants it; an empty object keeps the engine from using credentials of its own."""
    return base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()


def _standing(state: Mapping[str, Any]) -> Standing:
    if state.get("Running") or state.get("Paused") or state.get("Restarting"):
        return Standing.RUNNING
    return Standing.CREATED if state.get("Status") in {"created", "configured", "initialized"} else Standing.ENDED


def _ports(published: Mapping[str, Any]) -> dict[int, int]:
    ports: dict[int, int] = {}
    for name, places in published.items():
        number, _, protocol = name.partition("/")
        if places and protocol in {"", "tcp"}:
            ports[int(number)] = int(places[0]["HostPort"])
    return ports


def _plain_file(archive: bytes, limit: int) -> tuple[bytes, int] | None:
    """The first member of a tar whose end may be missing, if it is a plain file."""
    try:
        member = tarfile.TarInfo.frombuf(archive[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    if member.type in {tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME}:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r|") as unpacked:
            found = unpacked.next()
            content = unpacked.extractfile(found) if found is not None and found.isreg() else None
            return (content.read(limit), found.size) if content is not None and found is not None else None
    return (archive[512 : 512 + min(member.size, limit)], member.size) if member.isreg() else None
