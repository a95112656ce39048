"""How mistakes are told: all at once, in the order of the file, each with its place and with what would be right.

`malformed/` holds files as people write them, and beside each the lines that reading it ends with.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.definition.builders import problems_of, yaml_task
from tork.definition import read_job_file
from tork.definition.problems import MAX_PROBLEMS, Problem, path_text, shown
from tork.definition.suggestion import meant
from tork.errors import DefinitionError

MALFORMED = Path(__file__).parent / "malformed"
FILES = sorted(path for path in MALFORMED.iterdir() if path.suffix in {".yaml", ".json"})


@pytest.mark.parametrize("file", FILES, ids=[path.name for path in FILES])
def test_a_malformed_file_is_told_all_its_mistakes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(MALFORMED)
    with pytest.raises(DefinitionError) as raised:
        read_job_file(file.name)
    expected = Path(f"{file.name}.problems").read_text().splitlines()
    assert raised.value.problems == expected
    assert str(raised.value) == "\n".join(expected)


def test_without_a_source_lines_start_with_the_place() -> None:
    assert problems_of(yaml_task("imag: x")) == ["4:5: tasks[0]: unknown key 'imag' — did you mean 'image'?"]


def test_problems_come_in_the_order_of_the_file() -> None:
    document = "wait: {}\nname: j\nfoo: 1\ntasks:\n  - name: t\n    retry: {limit: 11}\n    priority: x\n"
    assert [line.split(":")[0] for line in problems_of(document)] == ["1", "3", "6", "7"]


def test_a_missing_key_is_told_where_its_object_starts() -> None:
    assert problems_of("name: j\ntasks:\n  - run: x\n")[0].startswith("3:5: tasks[0].name: is missing")


def test_what_was_not_readable_is_not_called_missing_too() -> None:
    assert problems_of("name: [a]\ntasks: none\n") == [
        "1:7: name: is a list (right would be a text)",
        "2:8: tasks: is text (right would be a list)",
    ]


def test_a_problem_inside_of_what_was_merged_in_is_told_where_it_stands() -> None:
    document = "name: j\ninputs: &x {limit: 11}\ntasks: [{name: t, retry: {<<: *x}}]"
    assert problems_of(document) == ["2:20: tasks[0].retry.limit: 11 is too large (right would be 1 to 10)"]


def test_dropped_nulls_do_not_shift_the_places() -> None:
    document = "name: j\ntasks:\n  - ~\n  - name: t\n  - name: u\n    priority: 10\n"
    assert problems_of(document) == ["6:15: tasks[1].priority: 10 is too large (right would be 0 to 9)"]


def test_more_problems_than_anybody_reads_are_counted() -> None:
    lines = problems_of("name: j\ntasks:\n" + "- {}\n" * 3000, source="a.yaml")
    assert len(lines) == MAX_PROBLEMS + 1
    assert lines[0].startswith("a.yaml:3:3: tasks[0].name: is missing")
    assert lines[-1] == "a.yaml: 2900 more problems are not shown"
    assert problems_of("name: j\ntasks:\n" + "- {}\n" * 101)[-1] == "1 more problem is not shown"


def test_a_line_never_holds_a_line_break_or_a_control_character() -> None:
    document = 'name: j\n"a\\nb\\e[31m": 1\ntasks: [{name: t, queue: "x-\\n", timeout: "1\\n"}]\n'
    for line in problems_of(document):
        assert line.isprintable()


def test_long_texts_are_cut() -> None:
    assert shown("a" * 1000) == f"'{'a' * 60}…'"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("tasks", 0, "retry", "limit"), "tasks[0].retry.limit"),
        (("inputs", "a b"), "inputs['a b']"),
        (("inputs", "a-b"), "inputs.a-b"),
        (("env", "a\nb"), "env['a\\nb']"),
    ],
)
def test_paths_are_written_as_people_do(path: tuple[str | int, ...], text: str) -> None:
    assert path_text(path) == text
    assert str(Problem(path, "m", "r")) == (f"{text}: m" if text else "m")


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("imag", "image"),
        ("auto_delete", "autoDelete"),
        ("ENV", "env"),
        ("command", "cmd"),
        ("when", "if"),
        ("steps", "tasks"),
        ("enviroment", "env"),
    ],
)
def test_the_key_that_was_meant_is_found(key: str, known: str) -> None:
    keys = ["autoDelete", "cmd", "env", "if", "image", "name", "tasks"]
    assert meant(key, keys) == known
    assert meant("qqq", keys) == ""
