"""The border where the docker SDK's exceptions become ours."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3
from docker.errors import APIError, DockerException

from torkd.runtime.containers.engine import EngineError, EngineUnavailable, ResourceBusy, ResourceMissing

_NOT_FOUND, _CONFLICT = 404, 409


@contextmanager
def translated(engine: str) -> Iterator[None]:
    """Run calls of the SDK; `engine` says which engine, and where, for the text of its loss."""
    try:
        yield
    except APIError as error:
        raise refusal(error) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError, DockerException) as error:
        raise lost(engine, error) from error
    except ValueError as error:  # an address that is none, an answer that is no JSON, a socket closed meanwhile
        raise lost(engine, error) from error
    except KeyError as error:  # an answer without what every answer has
        raise EngineError(f"{engine} gave an answer without {error}") from error


def refusal(error: APIError) -> EngineError:
    """What the engine said, as an error of ours."""
    text = reason(error.explanation) or str(error)
    return refused(error.response.status_code if error.response is not None else 0, text)


def refused(status: int, text: str) -> EngineError:
    """What an answer with this status means."""
    if status == _NOT_FOUND:
        return ResourceMissing(text)
    return ResourceBusy(text) if status == _CONFLICT else EngineError(text)


def lost(engine: str, error: BaseException) -> EngineUnavailable:
    """That the engine does not answer, and why."""
    return EngineUnavailable(f"{engine} does not answer: {_innermost(error)}")


def reason(explanation: object) -> str:
    """The engine's words, without the JSON that some answers carry them in."""
    text = explanation.decode("utf-8", "replace") if isinstance(explanation, bytes) else str(explanation or "")
    if text.startswith("{"):
        try:
            text = str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            pass
    return " ".join(text.split())


def _innermost(error: BaseException) -> str:
    """The operating system's own words, not those of three libraries around them."""
    for inner in _chain(error):
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        if isinstance(inner, TimeoutError | requests.exceptions.Timeout):
            return "it took too long"
        if isinstance(inner, http.client.RemoteDisconnected):
            return "it closed the connection"
    return " ".join(str(error).split()) or type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    inner: object = error
    while isinstance(inner, BaseException):
        yield inner
        carried: list[object] = [argument for argument in inner.args if isinstance(argument, BaseException)]
        inner = carried[0] if carried else getattr(inner, "reason", None) or inner.__cause__ or inner.__context__
