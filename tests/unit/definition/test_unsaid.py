from __future__ import annotations

import pytest

from tork.definition.unsaid import without_secrets
from tork.job import JobDefinition


@pytest.mark.parametrize(
    ("secret", "line", "said"),
    [
        ("hunter2", "timeout: 'hunter2' is no duration", "timeout: '[REDACTED]' is no duration"),
        ("a\nb\tcde", "'a\\nb\\tcde' is wrong", "'[REDACTED]' is wrong"),
        ("line one\nline two", "'line two' is wrong", "'[REDACTED]' is wrong"),
        ("x" * 100, f"'{'x' * 60}…' is wrong", "'[REDACTED]…' is wrong"),
        ("y" * 100, f"'a {'y' * 20}…' is wrong", "'a [REDACTED]…' is wrong"),
        ("abc", "'abc' is wrong", "'abc' is wrong"),
        ("", "'abc' is wrong", "'abc' is wrong"),
    ],
    ids=["whole", "escaped", "one line of it", "cut", "cut inside", "short", "empty"],
)
def test_what_is_said_of_a_mistake_has_no_secret(secret: str, line: str, said: str) -> None:
    assert without_secrets(line, JobDefinition(secrets={"s": secret})) == said
