from __future__ import annotations

import pytest

from torkd.runtime.containers.engine import EngineError
from torkd.runtime.containers.refusals import in_plain_words

DOCKER = (
    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
    'exec: "{}": {}: unknown'
)
PODMAN_RUNC = (
    'runc: runc create failed: unable to start container process: exec: "{}": executable file not found in $PATH: '
    "OCI runtime attempted to invoke a command that was not found"
)
PODMAN_CRUN = (
    "crun: executable file `{}` not found in $PATH: No such file or directory: OCI runtime attempted to invoke it"
)
NO_PROGRAM = "the image has no program '{}' (right would be an entrypoint or cmd that it has)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            DOCKER.format("nosuch", "executable file not found in $PATH"), NO_PROGRAM.format("nosuch"), id="docker"
        ),
        pytest.param(
            DOCKER.format("/bin/x", "stat /bin/x: no such file or directory"), NO_PROGRAM.format("/bin/x"), id="path"
        ),
        pytest.param(PODMAN_RUNC.format("nosuch"), NO_PROGRAM.format("nosuch"), id="podman with runc"),
        pytest.param(PODMAN_CRUN.format("nosuch"), NO_PROGRAM.format("nosuch"), id="podman with crun"),
        pytest.param(
            DOCKER.format("sh", "executable file not found in $PATH"),
            "the image has no sh to run a script (right would be an image that has one, or cmd or entrypoint)",
            id="no shell",
        ),
        pytest.param(
            "No command specified",
            "the image says no command (right would be run, cmd or entrypoint)",
            id="docker, none",
        ),
        pytest.param(
            "no command or entrypoint provided, and no CMD or ENTRYPOINT from image: defaulting to empty string",
            "the image says no command (right would be run, cmd or entrypoint)",
            id="podman, none",
        ),
    ],
)
def test_what_a_job_asks_of_an_image_in_vain_is_named(text: str, words: str) -> None:
    assert str(in_plain_words(EngineError(text))) == words


@pytest.mark.parametrize(
    "text",
    [
        DOCKER.format("docker-init", "executable file not found in $PATH"),
        "bind source path does not exist: /data",
        'statfs "/x": no such file or directory',
        "no space left on device",
    ],
    ids=["the engine's own init", "a bind", "a file of the host", "else"],
)
def test_other_refusals_stay_as_they_are(text: str) -> None:
    error = EngineError(text)
    assert in_plain_words(error) is error
