"""Ten thousand damaged job files: each is a job, or ends with clear lines. Nothing else may happen, and nothing may hang.

The files are made from the examples by a seeded generator, so a failure can be had again by its number.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tork.definition import read_job
from tork.definition.read import Format
from tork.errors import DefinitionError
from tork.wire import encode

EXAMPLES = [path.read_text() for path in sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))]
MALFORMED_IN_ALL = 10_000
BATCHES = 20

KEYS = [
    *(
        "name",
        "tasks",
        "each",
        "parallel",
        "subjob",
        "list",
        "task",
        "var",
        "retry",
        "limit",
        "limits",
        "cpus",
        "timeout",
    ),
    *("run", "image", "env", "files", "mounts", "type", "target", "pre", "post", "sidecars", "probe", "port", "queue"),
    *(
        "priority",
        "if",
        "output",
        "inputs",
        "schedule",
        "cron",
        "webhooks",
        "url",
        "permissions",
        "wait",
        "detached",
        "<<",
    ),
]
PIECES = [
    "{{ ", " }}", "[", "]", "{", "}", ": ", "- ", "&a ", "*a", "\t", "\n", "<<: *a\n", "!!int ", "!x ", "\0", "é", "\U0001f600",
    "'", '"', "|\n", ">\n", "%", "---\n", "...\n", "#", "? ", "\ud800", "\x1b[31m", "\\", ",", "~", "null", "0x", "1e999", ".nan",
    "-1", "99999999999999999999999", "\r", "\ufeff", "\x85", "\u2028", "*", "&", "@", "`", "{{ inputs.x", "[" * 300, "- " * 300,
]  # fmt: skip

Mutation = Callable[[random.Random, str], str]


def insert_a_piece(chance: random.Random, text: str) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(PIECES) + text[at:]


def remove_a_stretch(chance: random.Random, text: str) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + text[at + chance.randint(1, 30) :]


def cut_off(chance: random.Random, text: str) -> str:
    return text[: chance.randint(0, len(text))]


def change_a_line(chance: random.Random, text: str) -> str:
    lines = text.split("\n")
    at = chance.randrange(len(lines))
    match chance.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(chance.randrange(len(lines)), lines[at])
        case 2:
            lines[at] = " " * chance.randint(1, 4) + lines[at]
        case 3:
            lines[at] = lines[at][chance.randint(1, 4) :]
        case _:
            lines[at] = lines[at].partition(":")[0] + ": " + chance.choice(PIECES)
    return "\n".join(lines)


def rename_a_key(chance: random.Random, text: str) -> str:
    return text.replace(f"{chance.choice(KEYS)}:", f"{chance.choice(KEYS)}:", chance.randint(1, 3))


def damage_a_word(chance: random.Random, text: str) -> str:
    words = text.split(" ")
    at = chance.randrange(len(words))
    letters = list(words[at])
    chance.shuffle(letters)
    words[at] = "".join(letters)
    return " ".join(words)


MUTATIONS: list[Mutation] = [
    insert_a_piece, remove_a_stretch, cut_off, change_a_line, change_a_line, rename_a_key, rename_a_key, damage_a_word
]  # fmt: skip


def as_json(text: str) -> str:
    return json.dumps(msgspec.to_builtins(read_job(text)), indent=1, ensure_ascii=False)


JSON_EXAMPLES = [as_json(text) for text in EXAMPLES]


def a_damaged_file(number: int) -> tuple[str | bytes, Format]:
    chance = random.Random(number)
    format_: Format = "json" if number % 4 == 0 else "yaml"
    text = chance.choice(JSON_EXAMPLES if format_ == "json" else EXAMPLES)
    for _ in range(chance.randint(1, 4)):
        text = chance.choice(MUTATIONS)(chance, text)
    if number % 50:
        return text, format_
    junk = bytearray(text.encode(errors="replace"))
    for _ in range(5):
        junk[chance.randrange(len(junk)) if junk else 0 : 0] = chance.randbytes(2)
    return bytes(junk), format_


def is_clear(line: str) -> bool:
    says_what_is_right = "right would be" in line or "would be right" in line or "did you mean" in line
    return line.isprintable() and (
        says_what_is_right or "does not compile" in line or "not shown" in line or "alias" in line
    )


def problems_in(document: str | bytes, format_: Format) -> list[str] | None:
    """What is wrong with it, or None for a job: which then reads the same from its own JSON."""
    try:
        job = read_job(document, source="damaged", format=format_)
    except DefinitionError as error:
        return error.problems
    assert read_job(encode(job), format="json") == job
    return None


@pytest.mark.timeout(120)
@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_damaged_file_is_a_job_or_ends_with_clear_lines(batch: int) -> None:
    refused = 0
    for number in itertools.count(batch, BATCHES):
        problems = problems_in(*a_damaged_file(number))
        if problems is not None:
            refused += 1
            assert problems, f"file {number}"
            unclear = [line for line in problems if not is_clear(line) or not line.startswith("damaged:")]
            assert not unclear, f"file {number}"
        if refused == MALFORMED_IN_ALL // BATCHES:
            return
