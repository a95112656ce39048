"""Credential helpers: programs `docker-credential-<name>` that know what a registry wants, out of a key chain or a cloud.

A helper gets the registry's name on its standard input and answers in JSON. It may take its time but not for ever, nothing of
it is left running, and nothing of an answer gets into an error or a log.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping

import msgspec

from tork.errors import RuntimeFailure
from torkd.runtime.containers.engine import Credentials
from torkd.runtime.process import NO_SCRIPT_IS_OPEN
from torkd.runtime.stopping import StopSignal

HELPER_SECONDS = 30.0
"""How long a helper may take: some ask a service far away."""
TOKEN_USER = "<token>"  # noqa: S105 -- the user name that says the secret is an identity token
_NOT_FOUND = ("credentials not found in native keychain", "no credentials server URL")
_LOOK_SECONDS = 0.1
_LONGEST_REASON = 200
_INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS"),
        *("DOCKER_CONFIG", "GNUPGHOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    }
)
_INHERITED_PREFIXES = ("XDG_", "PASSWORD_STORE_", "AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_")
"""Key chains and clouds say in these where they are. Nothing else of the daemon's environment is passed on."""


class HelperFailure(RuntimeFailure):
    """A helper could not be asked, or did not answer as one does. The text holds nothing of its answer."""


class _Answer(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return "_Answer(…)"


def is_installed(name: str, environ: Mapping[str, str]) -> bool:
    """Whether there is a helper of this name."""
    return _find(name, environ) is not None


def ask_helper(
    name: str,
    key: str,
    *,
    environ: Mapping[str, str],
    stop: StopSignal | None = None,
    time_limit_seconds: float = HELPER_SECONDS,
) -> Credentials | None:
    """What the helper knows of a registry; None when it is not installed or knows nothing.

    Raises `HelperFailure`, and `stop.error()` when `stop` is set before the answer is there.
    """
    program = _find(name, environ)
    if program is None:
        return None
    process = _start(name, program, environ)
    with process:
        try:
            output, complaints = _converse(process, name, key, stop, time_limit_seconds)
        except BaseException:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode == 0:
        return _read_answer(name, key, output)
    if output.decode("utf-8", "replace").strip() in _NOT_FOUND:
        return None
    raise _failure(name, key, _reason(output, complaints) or f"exit status {process.returncode}")


def _find(name: str, environ: Mapping[str, str]) -> str | None:
    if not name or "/" in name or "\0" in name:
        raise HelperFailure(f"{name!r} can't be the name of a credential helper (right would be such as 'pass')")
    return shutil.which(f"docker-credential-{name}", path=environ.get("PATH", os.defpath))


def _start(name: str, program: str, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    inherited = {
        variable: value
        for variable, value in environ.items()
        if variable in _INHERITED or variable.startswith(_INHERITED_PREFIXES)
    }
    try:
        with NO_SCRIPT_IS_OPEN:
            return subprocess.Popen(
                [program, "get"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=inherited,
                # Away from our terminal, where it could ask for a password, and in a group that can be ended as a whole.
                start_new_session=True,
            )
    except OSError as error:
        raise HelperFailure(
            f"docker-credential-{name} can't be started: {error.strerror} (right would be a program at {program})"
        ) from error


def _converse(
    process: subprocess.Popen[bytes], name: str, key: str, stop: StopSignal | None, time_limit_seconds: float
) -> tuple[bytes, bytes]:
    deadline = time.monotonic() + time_limit_seconds
    question: bytes | None = key.encode()
    while True:
        try:
            return process.communicate(question, timeout=min(_LOOK_SECONDS, time_limit_seconds))
        except subprocess.TimeoutExpired:
            question = None
        if stop is not None and stop.is_set():
            raise stop.error()
        if time.monotonic() >= deadline:
            raise _failure(name, key, f"no answer within {time_limit_seconds:g} seconds")


def _read_answer(name: str, key: str, output: bytes) -> Credentials | None:
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The cause may hold the answer.
        raise _failure(name, key, "its answer is not JSON with Username and Secret") from None
    if not answer.username and not answer.secret:
        return None
    if answer.username == TOKEN_USER:
        return Credentials(identity_token=answer.secret)
    return Credentials(username=answer.username, password=answer.secret)


def _reason(output: bytes, complaints: bytes) -> str:
    """The first line of what it said, if that can't be an answer: helpers complain on standard output."""
    for said in (output, complaints):
        text = said.decode("utf-8", "replace").strip()
        if text and "{" not in text:
            return text.splitlines()[0][:_LONGEST_REASON]
    return ""


def _failure(name: str, key: str, reason: str) -> HelperFailure:
    return HelperFailure(
        f"docker-credential-{name} failed for {key}: {reason} (right would be an answer to 'docker-credential-{name} get')"
    )
