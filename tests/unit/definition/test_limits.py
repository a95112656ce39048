"""Documents made to cost time or memory, and what is no text: refused with a clear line, whatever the format.

The time limit of the whole run is what fails when one of them is not stopped early.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tests.unit.definition.builders import json_job, problems_of
from tork.definition import read_job, read_job_file
from tork.definition.read import Format
from tork.definition.text import MAX_BYTES
from tork.definition.tree import MAX_NODES
from tork.errors import DefinitionError

NEARLY_ALL = MAX_BYTES - 100
DEEP = "the document is nested deeper than 200 levels (right would be flatter)"
MANY = f"the document holds more than {MAX_NODES:,} values (right would be a smaller one)"


def aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def anchored_chain(levels: int) -> str:
    return "a0: &a0 {x: y}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}}}\n" for n in range(1, levels))


BOMBS = {
    "nested-lists": ("[" * 100_000, DEEP),
    "nested-lists-of-all-bytes": ("[" * NEARLY_ALL, DEEP),
    "nested-mappings": ('{"a":' * 100_000, DEEP),
    "nested-block-lists": ("- " * 100_000, DEEP),
    "nested-complex-keys": ("? " * 100_000, DEEP),
    "nested-block-mappings": ("\n".join(" " * n + "a:" for n in range(1000)), DEEP),
    "aliases": (aliases(30), MANY),
    "alias-chain": (anchored_chain(5000), DEEP),
    "merge-chain": (anchored_chain(5000).replace("x: *", "<<: *"), DEEP),
    "many-items": ("- a\n" * (NEARLY_ALL // 4), MANY),
    "many-keys": ("".join(f"k{n}: 1\n" for n in range(500_000)), MANY),
    "directives": ("".join(f"%TAG !a{n}! tag:x\n" for n in range(300_000)) + "--- a", "more than 20 % directives"),
    "alias-of-itself": ("a: &a [*a]", "the alias '*a' stands inside what it names"),
    "alias-of-nothing": ("a: *b", "the alias '*b' names nothing that was written before"),
    "only-line-breaks": ("\n" * NEARLY_ALL, "the document is empty"),
    "only-comments": ("# x\n" * (NEARLY_ALL // 4), "the document is empty"),
    "only-tabs": ("\t" * NEARLY_ALL, "this is not YAML"),
    "open-quote": ('"' + "a" * NEARLY_ALL, "this is not YAML"),
    "colons": ("a: " * (NEARLY_ALL // 3), "this is not YAML"),
    "one-word": ("a" * NEARLY_ALL, "is text"),
}


@pytest.mark.parametrize(("document", "problem"), BOMBS.values(), ids=BOMBS.keys())
def test_a_yaml_bomb_is_refused(document: str, problem: str) -> None:
    assert problem in problems_of(document)[0]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("[" * 100_000, DEEP),
        ('{"a":' * 100_000, DEEP),
        ("[" + "1," * MAX_NODES + "1]", MANY),
        ('{"name": ' + "9" * 1_000_000 + "}", "is a number"),
        ("\n" * NEARLY_ALL, "the document is empty"),
        ('"' + "\\" * NEARLY_ALL, "this is not a JSON text"),
        ('{"name": "j", "tasks": [' + "{}," * (NEARLY_ALL // 3 - 10) + "{}]}", MANY),
        (
            '{"name": "j", "tasks": ['
            + '{"name": "t", "parallel": {"tasks": [' * 500
            + '{"name": "t"}'
            + "]}}" * 500
            + "]}",
            DEEP,
        ),
    ],
    ids=["lists", "objects", "many", "digits", "line-breaks", "open-quote", "empty-tasks", "composites"],
)
def test_a_json_bomb_is_refused(document: str, problem: str) -> None:
    assert problem in "\n".join(problems_of(document, format="json"))


@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_the_values_of_a_good_job_are_counted_alike_in_both_formats(format_: Format) -> None:
    around = 6  # the mapping, name, its value, tasks, its list, and one to spare
    most = (MAX_NODES - around) // 3
    assert len(read_job(json_job(tasks=[{"name": "t"}] * most), format=format_).tasks) == most
    assert MANY in problems_of(json_job(tasks=[{"name": "t"}] * (most + 2)), format=format_)[0]


@pytest.mark.parametrize("format_", ["yaml", "json"])
@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"name: a\nx: \0", "2:4: there is a NUL byte here (right would be a text file)"),
        (b"name: \xe9t\xe9", "1:7: the byte 0xE9 is not UTF-8 (right would be a text file in UTF-8)"),
        (b"\x7fELF\x02\x01\x01", "1:1: the character U+007F can't stand here (right would be printable text)"),
        (b"\x1f\x8b\x08" + bytes(range(256)), "1:2: the byte 0x8B is not UTF-8 (right would be a text file in UTF-8)"),
        ("name: é\nx: \x07", "2:4: the character U+0007 can't stand here (right would be printable text)"),
        ("name: \udc80", "1:7: the character U+DC80 can't stand here (right would be printable text)"),
        ("name: j".encode("utf-16"), "1:1: the document is UTF-16 text (right would be UTF-8)"),
        ("name: j".encode("utf-16-be"), "1:1: there is a NUL byte here (right would be a text file)"),
        ("name: j".encode("utf-32"), "1:1: the document is UTF-32 text (right would be UTF-8)"),
    ],
    ids=["nul", "latin-1", "elf", "gzip", "bell", "surrogate", "utf-16", "utf-16-without-mark", "utf-32"],
)  # fmt: skip
def test_what_is_no_text_is_refused_where_it_starts(document: bytes | str, problem: str, format_: str) -> None:
    assert problems_of(document, format=format_) == [problem]


def test_a_byte_order_mark_of_utf_8_is_skipped() -> None:
    mark = b"\xef\xbb\xbf"
    for format_ in ("yaml", "json"):
        document = mark + json_job(tasks=[]).encode()
        assert problems_of(document, format=format_) == [
            "1:24: tasks: is missing (right would be a list of at least one task)"
        ]


def test_escaped_nul_characters_are_refused() -> None:
    for document, format_ in ((r'name: "a\0b"', "yaml"), (r'{"name": "a\u0000b"}', "json")):
        assert "NUL character" in problems_of(document, format=format_)[0]


@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_a_document_over_the_limit_is_refused_by_its_size(format_: str) -> None:
    assert problems_of(b"a" * 100_000_000, format=format_) == [
        "1:1: the document has 100,000,000 bytes (right would be at most 10,485,760)"
    ]
    assert problems_of(json_job(), format=format_, max_bytes=10)[0].endswith("(right would be at most 10)")


def test_no_more_of_a_file_is_read_than_the_limit(tmp_path: Path) -> None:
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(1_000_000_000)  # sparse: it takes no room on the disk
    tracemalloc.start()
    try:
        with pytest.raises(DefinitionError, match="has more than 10,485,760 bytes"):
            read_job_file(large)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    finally:
        tracemalloc.stop()


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(DefinitionError, match="has more than 10,485,760 bytes"):
        read_job_file("/dev/zero")
