"""How documents become values: every row of the table of reading rules, for YAML and JSON."""

from __future__ import annotations

import json

import pytest

from tests.unit.definition.builders import json_job, problems_of, read_task, yaml_task
from tork.definition import read_job, read_job_file
from tork.definition.scalars import whole_number
from tork.definition.tree import Kind, Scalar
from tork.errors import DefinitionError

WRITTEN = [
    ".5",
    "1",
    "010",
    "yes",
    "no",
    "true",
    "2024-01-01",
    "12:30:45",
    "1_000",
    "0x1F",
    "1.10",
    "1e3",
    "0o17",
    ".inf",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_yaml_scalars_in_text_fields_are_kept_as_written(text: str) -> None:
    task = read_task(f"limits: {{cpus: {text}}}\n    env: {{V: {text}}}\n    tags: [{text}]\n    queue: {text}")
    assert task.limits is not None
    assert (task.limits.cpus, task.env["V"], task.tags, task.queue) == (text, text, [text], text)


@pytest.mark.parametrize("null", ["", "~", "null", "Null", "NULL"])
def test_null_in_a_text_field_is_an_empty_text(null: str) -> None:
    assert read_task(f"image: {null}").image == ""


@pytest.mark.parametrize("quoted", ['"~"', "'null'", '"NULL"'])
def test_a_null_in_quotes_is_text(quoted: str) -> None:
    assert read_task(f"image: {quoted}").image == quoted[1:-1]


def test_null_map_entries_are_empty_and_null_list_items_are_dropped() -> None:
    task = read_task("env: {A: , B: ~, C: x}\n    tags: [1, true, null]")
    assert task.env == {"A": "", "B": "", "C": "x"}
    assert task.tags == ["1", "true"]


def test_null_objects_and_numbers_are_absent() -> None:
    task = read_task("retry:\n    limits: ~\n    each: null\n    priority: ~\n    pre: ~")
    assert (task.retry, task.limits, task.each, task.priority, task.pre) == (None, None, None, 0, [])


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("3", 3),
        ("3.7", 3),
        ("+2", 2),
        ("0x9", 9),
        ("0b11", 3),
        ("0o7", 7),
        ("07", 7),
        ("0_9", 9),
        (".9", 0),
        ("1e0", 1),
        ("09", 9),
    ],
)
def test_whole_numbers_are_read_and_fractions_cut_off(written: str, number: int) -> None:
    assert read_task(f"priority: {written}").priority == number


@pytest.mark.parametrize("written", ["1_000", "1e3", "1000.9", "01750", "0x3E8"])
def test_large_whole_numbers_are_read_in_every_spelling(written: str) -> None:
    assert whole_number(Scalar(written, Kind.PLAIN, 1, 1)) == 1000


@pytest.mark.parametrize("written", ['"3"', "'3'", "three", "3 4", ".nan", ".inf", "1.2.3", "_1", "9" * 5000, "1e999"])
def test_what_is_not_a_whole_number_is_refused(written: str) -> None:
    (problem,) = problems_of(yaml_task(f"priority: {written}"))
    assert problem.startswith("4:15: tasks[0].priority: is ")
    assert "(right would be a whole number" in problem


def test_a_negative_fraction_is_cut_towards_zero() -> None:
    assert read_task("priority: -0.7").priority == 0


@pytest.mark.parametrize(
    ("written", "value"),
    [(word, True) for word in ("true", "True", "TRUE", "y", "Y", "yes", "Yes", "on", "ON")]
    + [(word, False) for word in ("false", "False", "n", "N", "no", "NO", "off", "Off", "~")],
)
def test_yes_or_no_is_read_from_the_words_of_yaml(written: str, value: bool) -> None:
    task = read_task(f"subjob: {{name: s, tasks: [{{name: t}}], detached: {written}}}")
    assert task.subjob is not None
    assert task.subjob.detached is value


@pytest.mark.parametrize("written", ["1", "maybe", '"true"', "[]"])
def test_what_is_neither_yes_nor_no_is_refused(written: str) -> None:
    (problem,) = problems_of(yaml_task(f"subjob: {{name: s, tasks: [{{name: t}}], detached: {written}}}"))
    assert "tasks[0].subjob.detached: is" in problem
    assert "right would be true or false" in problem


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        ("image: [a]", "4:12: tasks[0].image: is a list (right would be a text)"),
        ("image:\n      a: b", "5:7: tasks[0].image: is a mapping (right would be a text)"),
        ("cmd: foo", "4:10: tasks[0].cmd: is text (right would be a list)"),
        ("env: [A]", "4:10: tasks[0].env: is a list (right would be names and values)"),
        ("retry: 3", "4:12: tasks[0].retry: is text (right would be keys and values)"),
        ("pre: {name: x}", "4:10: tasks[0].pre: is a mapping (right would be a list)"),
        ("env: {A: [1]}", "4:14: tasks[0].env.A: is a list (right would be a text)"),
    ],
    ids=["list-as-text", "map-as-text", "text-as-list", "list-as-map", "text-as-object", "map-as-list", "list-in-map"],
)
def test_a_value_of_the_wrong_shape_is_refused(field: str, problem: str) -> None:
    assert problems_of(yaml_task(field)) == [problem]


@pytest.mark.parametrize("value", ["{{ inputs.a }}", "{{ inputs.a }}-{{ inputs.b }}"])
def test_a_template_without_quotes_is_told_to_be_quoted(value: str) -> None:
    problems = problems_of(yaml_task(f"image: {value}"))
    assert "quotes around" in problems[0]


def test_anchors_aliases_and_merge_keys_work() -> None:
    job = read_job(
        """
name: j
inputs: &in {a: one, b: two}
tasks:
  - &first
    name: t
    env: {<<: *in, b: three}
  - <<: *first
    name: u
  - env: {<<: [{a: early}, *in]}
    name: v
"""
    )
    assert job.tasks[0].env == {"a": "one", "b": "three"}
    assert (job.tasks[1].name, job.tasks[1].env) == ("u", {"a": "one", "b": "three"})
    assert job.tasks[2].env == {"a": "early", "b": "two"}


def test_a_merge_of_something_else_than_a_mapping_is_refused() -> None:
    assert problems_of("name: j\n<<: 3\ntasks: [{name: t}]") == [
        "2:5: '<<' names text (right would be an alias of a mapping)"
    ]


@pytest.mark.parametrize("after", ["---\nname: [", "...\n{{{", "--- *nowhere"])
def test_only_the_first_yaml_document_is_read(after: str) -> None:
    assert read_job(f"---\nname: j\ntasks: [{{name: t}}]\n{after}").name == "j"


def test_only_the_first_json_value_is_read() -> None:
    assert read_job(json_job() + " trailing", format="json").name == "j"


@pytest.mark.parametrize("format_", ["yaml", "json"])
@pytest.mark.parametrize("document", ["", "  \n ", "null"])
def test_an_empty_document_is_refused(document: str, format_: str) -> None:
    assert problems_of(document, format=format_) == [
        "1:1: the document is empty (right would be a job with name and tasks)"
    ]


@pytest.mark.parametrize(
    ("document", "what"), [("hello", "text"), ("- a", "a list"), ("42", "text")], ids=["text", "list", "number"]
)
def test_a_document_that_is_no_mapping_is_refused(document: str, what: str) -> None:
    assert problems_of(document) == [f"1:1: is {what} (right would be keys and values)"]


def test_yaml_keys_are_case_sensitive_and_may_come_once() -> None:
    problems = problems_of("NAME: j\nname: k\ntasks: [{name: t}]\nname: l")
    assert problems == [
        "1:1: unknown key 'NAME' — did you mean 'name'?",
        "4:1: the key 'name' is already set at 2:1 (right would be once)",
    ]


def test_json_keys_match_in_any_case_and_the_last_of_two_wins() -> None:
    job = read_job('{"NAME": "a", "name": "b", "Tasks": [{"Name": "t", "RUN": "true"}]}', format="json")
    assert (job.name, job.tasks[0].run) == ("b", "true")
    assert read_job('{"name": "a", "name": "b", "tasks": [{"name": "t"}]}', format="json").name == "b"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"name": 7}, "is a number (right would be a text in quotes)"),
        ({"name": True}, "is true or false (right would be a text in quotes)"),
        ({"name": ["x"]}, "is a list (right would be a text)"),
    ],
    ids=["number", "boolean", "list"],
)
def test_json_texts_must_be_json_texts(fields: dict[str, object], problem: str) -> None:
    assert problems_of(json_job(**fields), format="json") == [f"1:10: name: {problem}"]


def test_json_nulls_are_absent() -> None:
    document = json_job(description=None, defaults=None, inputs={"a": None}, tags=["x", None], webhooks=None)
    job = read_job(document, format="json")
    assert (job.description, job.defaults, job.inputs, job.tags, job.webhooks) == ("", None, {"a": ""}, ["x"], [])


def test_json_numbers_are_read_like_those_of_yaml() -> None:
    task = {"name": "t", "priority": 3.7, "retry": {"limit": 2, "scalingFactor": 1}}
    job = read_job(json_job(tasks=[task]), format="json")
    assert job.tasks[0].priority == 3
    assert problems_of(json_job(tasks=[{**task, "priority": "3"}]), format="json") == [
        "1:51: tasks[0].priority: is '3' (right would be a whole number without quotes)"
    ]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ('{"name": "j",}', "1:14: a key is missing here"),
        ('{"name" "j"}', "1:9: the value of the key is missing here"),
        ('{"name": }', "1:10: a value is missing here"),
        ('{"name": "j"', "1:13: the JSON does not go on here"),
        ("{\n \"name\": 'j'}", "2:10: a value is missing here"),
        ('{"name": "a\nb"}', "1:12: this is not a JSON text"),
        ('{"name": "\\ud800"}', "1:10: the text holds a NUL character or half of a surrogate pair"),
        ('{"name": "\\u0000"}', "1:10: the text holds a NUL character or half of a surrogate pair"),
        ("{name: j}", "1:2: a key is missing here"),
        ("[1,,2]", "1:4: a value is missing here"),
        ("tru", "1:1: a value is missing here"),
    ],
)
def test_json_that_is_none_is_refused_where_it_breaks(document: str, problem: str) -> None:
    (line,) = problems_of(document, format="json")
    assert line.startswith(problem)
    assert "(right would be" in line


@pytest.mark.parametrize("escape", [r"\ud800", r"\u0000"])
def test_characters_that_no_database_takes_are_refused_in_a_job_that_is_right_otherwise(escape: str) -> None:
    (problem,) = problems_of(json_job(description="?").replace("?", escape), format="json")
    assert "half of a surrogate pair" in problem


def test_both_formats_read_the_same_job() -> None:
    document = json_job(inputs={"a": "b"}, tasks=[{"name": "t", "env": {"A": "ü \U0001f600 \t"}, "cmd": ["a", "b"]}])
    assert read_job(document, format="json") == read_job(document, format="yaml")


def test_unusual_json_reads_the_same_job_as_usual_json() -> None:
    usual = {
        "name": "j",
        "tasks": [{"name": "t", "each": {"list": "[[1, 2]]", "task": {"run": "x", "tags": []}}}, {"name": "u"}],
    }
    unusual = json.dumps(usual, indent=2).replace('"name"', '"Name"')
    assert read_job(unusual, format="json") == read_job(json.dumps(usual), format="json")


@pytest.mark.parametrize(("source", "is_json"), [("a.json", True), ("A.JSON", True), ("a.yaml", False), ("", False)])
def test_the_format_follows_the_file_name(source: str, is_json: bool) -> None:
    document = '{"name": 1, "tasks": [{"name": "t"}]}'
    if is_json:
        assert problems_of(document, source=source) == [
            f"{source}:1:10: name: is a number (right would be a text in quotes)"
        ]
    else:
        assert read_job(document, source=source).name == "1"


def test_a_file_that_is_not_there_is_told_by_its_name() -> None:
    with pytest.raises(DefinitionError, match=r"nowhere\.yaml: the file can't be read: No such file"):
        read_job_file("nowhere.yaml")


def test_tags_say_how_a_value_is_read_and_others_are_refused() -> None:
    assert read_task("image: !!str ~\n    priority: !!int 3").image == "~"
    assert problems_of(yaml_task("priority: !!str 3")) == [
        "4:15: tasks[0].priority: is '3' (right would be a whole number without quotes)"
    ]
    for tag in ("!!python/object/apply:os.system [x]", "!mine x", "!!binary eA==", "!!set {a}"):
        (problem,) = problems_of(yaml_task(f"image: {tag}"))
        assert "has no meaning here (right would be no tag)" in problem
