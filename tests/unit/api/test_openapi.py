"""The OpenAPI document says what is served, all of it and nothing else, and the page for people says the same."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import falcon
import falcon.inspect
import pytest

from tests.support.api_fakes import FakeDoctor
from tests.unit.api.conftest import Api
from torkd.api.application import App
from torkd.api.options import GROUPS, ApiOptions


@pytest.fixture
def document(api: Api) -> Any:
    api.serve(doctor=FakeDoctor())
    return api.get("/openapi.json").json


def described(document: Any) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}


def served(api: Api) -> set[tuple[str, str]]:
    app: Any = api.client.app
    return {
        (method.method, route.path)
        for route in falcon.inspect.inspect_app(app).routes
        for method in route.methods
        if method.method not in {"HEAD", "OPTIONS"} and not method.internal
    }


def test_every_route_is_described_and_nothing_else(api: Api, document: Any) -> None:
    assert described(document) == served(api)


def test_every_operation_says_what_it_does(document: Any) -> None:
    said = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert [operation["operationId"] for operation in said if "summary" not in operation] == [], "use @operation"


def test_every_path_parameter_is_explained(document: Any) -> None:
    said = [operation for methods in document["paths"].values() for operation in methods.values()]
    unexplained = {
        parameter["name"]
        for operation in said
        for parameter in operation["parameters"]
        if parameter.get("in") == "path" and not parameter["description"]
    }
    assert unexplained == set(), "add them to the path parameters in torkd/api/openapi.py"


def test_every_reference_leads_somewhere(document: Any) -> None:
    references = set(re.findall(r'"#/components/(\w+)/([\w.]+)"', json.dumps(document)))
    assert {kind for kind, _ in references} == {"schemas", "parameters"}
    assert [name for kind, name in references if name not in document["components"][kind]] == []


def test_a_group_that_is_off_is_not_described(api: Api) -> None:
    api.serve(options=ApiOptions(groups=frozenset(GROUPS) - {"jobs"}))
    paths = api.get("/openapi.json").json["paths"]
    assert [path for path in paths if path.startswith("/jobs")] == []
    assert "/tasks/{task_id}" in paths


def test_always_present_fields_are_required_and_times_are_told_as_such(document: Any) -> None:
    job = document["components"]["schemas"]["Job"]
    assert set(job["required"]) == {"id", "state", "createdAt", "tasks", "execution", "position", "context"}
    assert job["properties"]["startedAt"] == {"type": "string", "format": "date-time"}


def test_a_job_file_may_say_in_more_ways_what_an_answer_says_in_one(document: Any) -> None:
    body = document["paths"]["/jobs"]["post"]["requestBody"]
    assert set(body["content"]) == {"application/json", "text/yaml", "application/yaml", "application/x-yaml"}
    schemas = document["components"]["schemas"]
    assert schemas["JobFile"]["required"] == ["name", "tasks"]
    assert "number" in schemas["JobFile.TaskDefinition"]["properties"]["run"]["type"]
    assert schemas["TaskDefinition"]["properties"]["run"]["type"] == "string"


def test_a_refusal_is_described_where_it_may_come(document: Any) -> None:
    responses = document["paths"]["/jobs"]["post"]["responses"]
    assert set(responses) == {"200", "400", "408", "410", "413", "422", "500", "503"}
    assert responses["422"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Refusal"}
    health = document["paths"]["/health"]["get"]["responses"]["503"]
    assert health["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Health"}


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ({}, {"/health": set(), "/jobs": set(), "/doctor": set()}),
        ({"requests_per_second": 9}, {"/health": {"429"}, "/jobs": {"429"}, "/doctor": {"429"}}),
        ({"asks_keys": True}, {"/health": set(), "/jobs": {"401", "429"}, "/doctor": {"401", "403", "429"}}),
    ],
    ids=["of nobody", "of who asks too often", "of who may not"],
)
def test_a_refusal_for_who_asks_is_described_where_somebody_may_be_refused(
    api: Api, options: dict[str, Any], refused: dict[str, set[str]]
) -> None:
    api.serve(doctor=FakeDoctor(), options=ApiOptions(**options, key="the key"))
    paths = api.get("/openapi.json", headers={"Authorization": "Bearer the key"}).json["paths"]
    assert {path: set(paths[path]["get"]["responses"]) & {"401", "403", "429"} for path in refused} == refused


def test_the_document_can_be_indented(api: Api) -> None:
    answer = api.get("/openapi.json?pretty")
    assert answer.headers["content-type"] == "application/json"
    assert answer.text.startswith('{\n  "openapi": "3.1.0"')


class _Page(HTMLParser):
    """What a page refers to and what can be referred to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            elif name in {"href", "src"}:
                self.links.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass


def test_the_page_has_every_operation_and_needs_nothing_from_elsewhere(api: Api, document: Any) -> None:
    answer = api.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    page = _Page(answer.text)
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert {operation["operationId"] for operation in operations} <= page.ids
    assert page.open == [], "a tag is not closed"
    assert "default-src 'none'" in answer.headers["content-security-policy"]


class _Undescribed:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Registered by a user of the library, who says nothing about it."""


def test_a_route_that_says_nothing_is_in_the_document_all_the_same(api: Api) -> None:
    app: Any = api.client.app
    assert isinstance(app, App)
    app.add_route("/mine/<b>/{thing}", _Undescribed())
    operation = api.get("/openapi.json").json["paths"]["/mine/<b>/{thing}"]["get"]
    assert operation["parameters"][0]["name"] == "thing"
    assert "/mine/&lt;b&gt;/{thing}" in api.get("/docs").text


def test_head_is_answered_like_get_without_its_body(api: Api) -> None:
    got = api.get("/metrics")
    head = api.client.simulate_head("/metrics")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(got.content)))


def test_a_method_nobody_knows_is_not_allowed(api: Api) -> None:
    with pytest.warns(Warning, match="Unknown REQUEST_METHOD"):
        answer = api.client.simulate_request("BREW", "/jobs")
    assert (answer.status_code, answer.json) == (405, {"message": "Method Not Allowed"})
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
