"""JUnit files read back: valid, or the test fails."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import xmlschema

_SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
_KINDS = ("failure", "error", "skipped")


def read_junit(path: Path) -> ElementTree.Element:
    """The root, after it was held against the schema and its totals against its cases."""
    text = path.read_bytes()
    root = ElementTree.fromstring(text)
    _SCHEMA.validate(ElementTree.ElementTree(root))
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
        for kind, total in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.get(total, "")) == len(suite.findall(f"testcase/{kind}"))
    return root


def cases(root: ElementTree.Element) -> dict[str, str]:
    """Of each case by its name what it came to; `passed` when it says nothing."""
    found = {}
    for case in root.iter("testcase"):
        kinds = [kind for kind in _KINDS if case.find(kind) is not None]
        found[str(case.get("name"))] = kinds[0] if kinds else "passed"
    return found


def text_of(root: ElementTree.Element, name: str, part: str) -> str:
    """The text of a part, such as `failure`, of the case with that name."""
    [found] = [case.find(part) for case in root.iter("testcase") if case.get("name") == name]
    return "" if found is None else f"{found.get('message', '')}\n{found.text or ''}"
