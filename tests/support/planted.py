"""Secrets that are made to slip through, the job that puts them everywhere, and the look that finds them in any usual form."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

VALUES: dict[str, str] = {
    "plain": "plantedplain7f3a",
    "quotes": "pl\"anted's \\back/7f3a",
    "lines": "-----BEGIN planted-----\nthe second line 7f3a\nthe\tthird: 7f3a\n-----END planted-----\n",
    "unicode": "plänted-ünïcode-✓-7f3a",
    "url": "planted&url=7f3a?/+ %#<>",
    "long": "planted-long-" + "0123456789abcdef" * 300,
    "prefix": "plantedprefix7f3a",
    "longer": "plantedprefix7f3a-and-longer",
    "left": "planted-left-middle7f3a",
    "right": "middle7f3a-right-planted",
    "shown": "planted[REDACTED]7f3a",
    "periodic": "7f7f7f7f7f",
    "nested": "planted-nested-7f3a",
}
"""Every one has to be hidden."""
HARMLESS: dict[str, str] = {"short": "ab1", "letter": "x", "empty": "", "blank": "   ", "word": "completed"}
"""Beside them: too short to be looked for, or a word of ours. They must do no harm."""
NESTED = "nested"
"""This one is a secret of a sub-job alone, in so many words."""
SECRETS = {name: value for name, value in (VALUES | HARMLESS).items() if name != NESTED}


def forms_of(value: str) -> list[str]:
    """How a value looks that was encoded on its way, in the ways that are covered."""
    data = value.encode()
    forms = [value, value.strip(), json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    forms += [form.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e") for form in forms[2:]]
    forms += [urllib.parse.quote(value), urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)]
    forms += [base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()]
    return [form for form in dict.fromkeys(forms) if form]


_LOOKED_FOR = {
    name: [form.casefold() for form in forms_of(value)]
    + [line for line in value.casefold().splitlines() if "7f3a" in line]
    for name, value in VALUES.items()
}


def leaks(text: str) -> list[str]:
    """Which secrets are in a text. Upper case counts as lower: the text index of a database has it so."""
    folded = text.casefold()
    return [name for name, forms in _LOOKED_FOR.items() if any(form in folded for form in forms)]


def strings_of(document: Any) -> Iterator[str]:
    """All texts of a JSON document, keys included."""
    match document:
        case str():
            yield document
        case dict():
            for key, value in document.items():
                yield key
                yield from strings_of(value)
        case list():
            for value in document:
                yield from strings_of(value)


def _each_of(namespace: str) -> dict[str, str]:
    return {f"V_{name.upper()}": f"{{{{ {namespace}.{name} }}}}" for name in VALUES if name != NESTED}


PRINT = (
    'for name in ${!V_*}; do printf "%s=<%s>\\n" "$name" "${!name}"; done; '
    'printf "%s-right-planted\\n" "$V_LEFT"; printf "%s7f7\\n" "$V_PERIODIC"; '
    'printf "%s" "$V_LINES" | sed "s/^/prefix: /"; printf "%s" "$V_LINES" | sed "s/$/\\r/"; '
    'printf "%s" "$V_QUOTES" | base64 -w 0; echo; '
)
TELL = PRINT + 'for name in ${!V_*}; do printf "%s\\n" "${!name}"; done > "$TORK_OUTPUT"'


def a_planted_job(*, literal: str = VALUES["plain"]) -> dict[str, Any]:
    """Every secret in every place that a job file has for values, evaluated and not, and in what tasks make of them."""
    env = _each_of("secrets")
    tell = {"env": env, "run": TELL}
    everywhere = " ".join(f"{{{{ secrets.{name} }}}}" for name in VALUES if name != NESTED)
    registry = {"username": "{{ secrets.plain }}", "password": "{{ secrets.quotes }}"}
    hook_headers = {"Authorization": "Bearer {{ secrets.plain }}", "X-Of": f"{literal} {{{{ secrets.unicode }}}}"}
    inner = {
        "name": f"inner {everywhere}",
        "inputs": {"passed": "{{ secrets.quotes }}", "id": "key-{{ secrets.plain }}"},
        "secrets": {"own": VALUES["nested"], "mine": "{{ secrets.unicode }}"},
        "tasks": [
            {
                "name": "deep",
                "env": {"OWN": "{{ secrets.own }}", "MINE": "{{ secrets.mine }}", "PASSED": "{{ inputs.passed }}"},
                "run": 'printf "%s %s %s" "$OWN" "$MINE" "$PASSED" | tee "$TORK_OUTPUT"',
                "var": "deep",
            }
        ],
        "output": "{{ tasks.deep }}",
    }
    return {
        "name": f"planted {literal}",
        "description": f"tells {VALUES['quotes']} and {VALUES['lines']}",
        "tags": ["planted", literal, f"x{VALUES['unicode']}"],
        "inputs": {"given": literal, "id": f"key-{literal}", "state": f"is-{literal}", "json": json.dumps(SECRETS)},
        "secrets": SECRETS,
        "webhooks": [{"url": "http://127.0.0.1:9/nobody", "headers": hook_headers}],
        "tasks": [
            {"name": f"tell {everywhere}", "description": everywhere, **tell, "var": "told",
             "files": {"f": everywhere, "json": "{{ toJSON(secrets) }}"}},
            {"name": "run", "run": literal, "if": "{{ secrets.plain == '' }}"},
            {"name": "encodes", "env": {"TOLD": "{{ tasks.told }}", "J": "{{ toJSON(secrets) }}"},
             "run": 'echo "$J"; printf "%s" "$J" > "$TORK_OUTPUT"', "var": "json"},
            {"name": "beside", "parallel": {"tasks": [{"name": f"left {everywhere}", **tell}]}},
            {"name": "for each", "each": {"list": "{{ [secrets.plain, secrets.quotes, secrets.lines] }}",
             "task": {**tell, "name": "item {{ item.value }}", "env": {"V_ITEM": "{{ item.value }}", **env}}}},
            {"name": "below", "subjob": inner, "var": "below"},
            {"name": "beside it", "subjob": {
                "name": "detached", "detached": True, "inputs": {"told": "{{ tasks.told }}"},
                "tasks": [{"name": "tells", "env": {"TOLD": "{{ inputs.told }}"}, "run": 'echo "$TOLD"; echo "$TOLD" > "$TORK_OUTPUT"'}],
             }},
            {"name": "reads below", "env": {"B": "{{ tasks.below }}"}, "run": 'echo "$B"'},
            {"name": "progress", "env": env, "run": 'echo "$V_PLAIN" > "$TORK_PROGRESS"; ' + PRINT},
            {"name": "image", "image": "{{ secrets.plain }}", "cmd": ["{{ secrets.unicode }}"], "registry": registry,
             "mounts": [{"type": "volume", "target": "/x", "opts": {"o": "{{ secrets.url }}"}}],
             "sidecars": [{"name": "s", "image": "x", "env": env}], "if": "{{ secrets.plain == '' }}",
             "pre": [{"name": "p", "image": "x", "run": everywhere, "env": env}],
             "post": [{"name": "q", "image": "x", "run": everywhere, "env": env}]},
            {"name": "fails", "env": env, "run": 'echo "$V_QUOTES $V_LINES $V_UNICODE $V_PLAIN are wrong" >&2; exit 3'},
        ],
        "output": f"{everywhere} {{{{ tasks.json }}}}",
    }  # fmt: skip


def a_telling_job() -> dict[str, Any]:
    """A job that completes, with every secret in its result."""
    names = " ".join(f"{{{{ secrets.{name} }}}}" for name in VALUES if name != NESTED)
    task = {"name": "tell", "env": _each_of("secrets"), "run": TELL, "var": "told"}
    return {
        "name": "tells",
        "secrets": SECRETS,
        "tasks": [task],
        "output": f"{names} {{{{ tasks.told }}}} {{{{ toJSON(secrets) }}}}",
    }


def leaking_texts(answers: Mapping[str, str]) -> dict[str, list[str]]:
    """Of answers of the API by where they come from: those that have secrets in them, and which."""
    found = {}
    for place, text in answers.items():
        looked_at = [text]
        for line in text.splitlines():
            try:
                looked_at += strings_of(json.loads(line.removeprefix("data: ")))
            except ValueError:
                continue
        if names := sorted({name for part in looked_at for name in leaks(part)}):
            found[place] = names
    return found
