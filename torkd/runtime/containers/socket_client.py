"""The docker SDK's client for an engine behind a socket of this host, without what makes its calls expensive.

The SDK opens a connection for each path it has not asked for lately, and a session of `requests` looks after cookies, proxies,
redirects and credentials, of which an engine has none. What the SDK asks for and what it gets are the same.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import docker
import requests
from docker.errors import APIError
from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnectionPool
from docker.utils import parse_host
from requests.structures import CaseInsensitiveDict
from urllib3 import Timeout
from urllib3.response import BaseHTTPResponse

_PLAIN = {"params", "data", "headers", "timeout", "stream", "allow_redirects", "json"}


class SocketClient(docker.APIClient):
    """All calls share the connections of one pool. Any thread may call."""

    def __init__(self, base_url: str, *, timeout: int, max_pool_size: int) -> None:
        path = UnixHTTPAdapter(str(parse_host(base_url))).socket_path
        self._pool: Any = UnixHTTPConnectionPool(base_url, path, timeout, maxsize=max_pool_size)
        super().__init__(base_url=base_url, version="auto", timeout=timeout, max_pool_size=max_pool_size)

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """As a session's; raises the errors of urllib3 instead of those that requests makes of them."""
        data, stream = kwargs.get("data"), bool(kwargs.get("stream"))
        if args or kwargs.keys() - _PLAIN or kwargs.get("json") is not None or not isinstance(data, str | bytes | None):
            return super().request(method, url, *args, **kwargs)
        answer = self._pool.urlopen(
            method,
            str(url).removeprefix(self.base_url) + _query(kwargs.get("params")),
            body=data,
            headers={"User-Agent": self.headers["User-Agent"], **(kwargs.get("headers") or {})},
            timeout=Timeout(connect=kwargs.get("timeout"), read=kwargs.get("timeout")),
            retries=False,
            redirect=False,
            preload_content=not stream,
        )
        response = _response(str(url), answer, stream=stream)
        if 300 <= answer.status < 400 and answer.status != requests.codes.not_modified:
            response.close()
            raise APIError(
                f"the engine answered {answer.status} {answer.reason}: redirections are not followed", response
            )
        return response

    def close(self) -> None:
        """Disconnect."""
        self._pool.close()
        super().close()


def _query(params: Any) -> str:
    pairs = params.items() if isinstance(params, dict) else params or ()
    asked = urlencode([(name, value) for name, value in pairs if value is not None], doseq=True)
    return f"?{asked}" if asked else ""


def _response(url: str, answer: BaseHTTPResponse, *, stream: bool) -> requests.Response:
    """As the SDK knows them."""
    response = requests.Response()
    response.url, response.raw = url, answer
    response.status_code, response.reason = answer.status, answer.reason or ""
    response.headers = CaseInsensitiveDict(answer.headers)
    response.encoding = "utf-8"
    if not stream:
        response._content = answer.data
        response._content_consumed = True  # type: ignore[attr-defined] # the stubs leave it out
    return response
