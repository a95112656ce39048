from __future__ import annotations

import pytest

from tork.errors import RuntimeFailure
from torkd.runtime.containers.reference import parse_reference

DIGEST = "sha256:" + "0123456789abcdef" * 4
HUB_KEY = "https://index.docker.io/v1/"

REFERENCES = {
    "ubuntu": ("docker.io/library/ubuntu", "latest", HUB_KEY),
    "ubuntu:24.04": ("docker.io/library/ubuntu", "24.04", HUB_KEY),
    "library/ubuntu": ("docker.io/library/ubuntu", "latest", HUB_KEY),
    "docker.io/ubuntu": ("docker.io/library/ubuntu", "latest", HUB_KEY),
    "index.docker.io/ubuntu": ("docker.io/library/ubuntu", "latest", HUB_KEY),
    "registry-1.docker.io/a/b": ("docker.io/a/b", "latest", HUB_KEY),
    "jrottenberg/ffmpeg": ("docker.io/jrottenberg/ffmpeg", "latest", HUB_KEY),
    "jrottenberg/ffmpeg:3.4-alpine": ("docker.io/jrottenberg/ffmpeg", "3.4-alpine", HUB_KEY),
    "a/b/c": ("docker.io/a/b/c", "latest", HUB_KEY),
    "registry.example.com/app": ("registry.example.com/app", "latest", "registry.example.com"),
    "registry.example.com/a/b/c:V_1.0-x": ("registry.example.com/a/b/c", "V_1.0-x", "registry.example.com"),
    "registry.example.com:5000/app:1": ("registry.example.com:5000/app", "1", "registry.example.com:5000"),
    "localhost/app": ("localhost/app", "latest", "localhost"),
    "localhost:5000/app": ("localhost:5000/app", "latest", "localhost:5000"),
    "127.0.0.1:5000/app": ("127.0.0.1:5000/app", "latest", "127.0.0.1:5000"),
    "[::1]:5000/app:1": ("[::1]:5000/app", "1", "[::1]:5000"),
    "Myhost/app": ("Myhost/app", "latest", "Myhost"),
    "a--b/my__app.v-1": ("docker.io/a--b/my__app.v-1", "latest", HUB_KEY),
    f"ubuntu@{DIGEST}": ("docker.io/library/ubuntu", DIGEST, HUB_KEY),
    f"localhost:5000/app@{DIGEST}": ("localhost:5000/app", DIGEST, "localhost:5000"),
    f"ubuntu:24.04@{DIGEST}": ("docker.io/library/ubuntu", DIGEST, HUB_KEY),
}


@pytest.mark.parametrize(("text", "expected"), REFERENCES.items(), ids=REFERENCES.keys())
def test_a_reference_says_what_to_pull_from_where(text: str, expected: tuple[str, str, str]) -> None:
    reference = parse_reference(text)
    assert (reference.repository, reference.version, reference.registry_key) == expected


SAME = [
    ("ubuntu", "ubuntu:latest", "library/ubuntu", "docker.io/library/ubuntu:latest", "index.docker.io/ubuntu"),
    ("localhost:5000/app", "localhost:5000/app:latest"),
    (f"ubuntu@{DIGEST}", f"ubuntu:24.04@{DIGEST}", f"docker.io/ubuntu:22.04@{DIGEST}"),
]


@pytest.mark.parametrize("texts", SAME, ids=["hub", "own-registry", "digest"])
def test_texts_that_mean_the_same_image_are_equal(texts: tuple[str, ...]) -> None:
    assert len({parse_reference(text) for text in texts}) == 1
    assert len({parse_reference(text).canonical for text in texts}) == 1


def test_the_canonical_text_means_the_same_image() -> None:
    for text in REFERENCES:
        reference = parse_reference(text)
        assert parse_reference(reference.canonical) == reference


DIFFERENT = [("ubuntu", "ubuntu:24.04"), ("ubuntu", "localhost/ubuntu"), ("a.b/c", "a.b:80/c"), ("a/b", "b")]


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=["tag", "host", "port", "path"])
def test_texts_that_mean_different_images_differ(one: str, other: str) -> None:
    assert parse_reference(one).canonical != parse_reference(other).canonical


UNREADABLE = {
    "empty": "",
    "space": " ubuntu",
    "line-end": "ubuntu\n",
    "nul": "ubuntu\0",
    "scheme": "https://registry.example.com/app",
    "empty-tag": "ubuntu:",
    "bad-tag": "ubuntu:a b",
    "tag-that-starts-with-a-dot": "ubuntu:.1",
    "two-tags": "ubuntu:1:2",
    "too-long-a-tag": "ubuntu:" + "x" * 129,
    "empty-digest": "ubuntu@",
    "short-digest": "ubuntu@sha256:" + "a" * 63,
    "long-digest": "ubuntu@sha256:" + "a" * 65,
    "digest-without-algorithm": "ubuntu@" + "a" * 64,
    "two-digests": f"ubuntu@{DIGEST}@{DIGEST}",
    "digest-alone": f"@{DIGEST}",
    "tag-alone": ":latest",
    "empty-component": "a//b",
    "slash-at-the-start": "/ubuntu",
    "slash-at-the-end": "ubuntu/",
    "host-alone": "registry.example.com/",
    "bad-port": "registry.example.com:x/app",
    "empty-port": "registry.example.com:/app",
    "bad-host": "-x.example.com/app",
    "dash-at-the-end": "app-",
    "three-underscores": "a___b",
    "other-letters": "bücher",
    "template": "{{ inputs.image }}",
    "dots": "../app",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_text_that_is_no_reference_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^image .* can't be read \(right would be .*\)$"):
        parse_reference(text)


def test_upper_case_letters_are_named_as_the_fault() -> None:
    with pytest.raises(RuntimeFailure, match=r"^image 'MyApp:1' has upper-case letters .* \(right would be 'myapp'\)$"):
        parse_reference("MyApp:1")


@pytest.mark.parametrize(
    "text",
    ["a" * 64, DIGEST, "sha256:003fa583fe1b", "sha256:0"],
    ids=["short", "with-algorithm", "beginning", "one-digit"],
)
def test_an_image_id_is_not_taken_for_a_name_at_the_hub(text: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"is an image's id \(right would be its name\)$"):
        parse_reference(text)


def test_a_name_may_have_255_characters() -> None:
    assert parse_reference("localhost/" + "a" * 245).path == "a" * 245
    with pytest.raises(RuntimeFailure, match=r"has too long a name \(right would be at most 255 characters\)$"):
        parse_reference("localhost/" + "a" * 246)
