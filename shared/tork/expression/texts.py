"""Builtins on strings. Positions and lengths count characters."""

from __future__ import annotations

import base64
import binascii

from tork.expression.faults import Fault
from tork.expression.kinds import as_int, as_list, as_text
from tork.expression.limits import Budget
from tork.expression.signature import Function, fixed, metered


def _trim(text: object, marks: object = None) -> str:
    return as_text(text, "trim").strip(None if marks is None else as_text(marks, "trim"))


def _upper(text: object) -> str:
    return as_text(text, "upper").upper()


def _lower(text: object) -> str:
    return as_text(text, "lower").lower()


def _trim_prefix(text: object, prefix: object) -> str:
    return as_text(text, "trimPrefix").removeprefix(as_text(prefix, "trimPrefix"))


def _trim_suffix(text: object, suffix: object) -> str:
    return as_text(text, "trimSuffix").removesuffix(as_text(suffix, "trimSuffix"))


def _split(budget: Budget, text: object, separator: object, most: object = -1) -> list[str]:
    return _parts(budget, as_text(text, "split"), as_text(separator, "split"), as_int(most, "split"))


def _split_after(budget: Budget, text: object, separator: object, most: object = -1) -> list[str]:
    mark = as_text(separator, "splitAfter")
    parts = _parts(budget, as_text(text, "splitAfter"), mark, as_int(most, "splitAfter"))
    budget.copy_text(len(parts) * len(mark))
    return [part + mark for part in parts[:-1]] + parts[-1:]


def _parts(budget: Budget, text: str, separator: str, most: int) -> list[str]:
    """As Go splits: at most `most` parts, none if it is 0, all if it is negative."""
    if most == 0:
        return []
    count = text.count(separator) + 1 if separator else len(text)
    budget.make_elements(min(count, most) if most > 0 else count)
    budget.copy_text(len(text))
    if separator:
        return text.split(separator, most - 1 if most > 0 else -1)
    if 0 < most < len(text):
        return [*text[: most - 1], text[most - 1 :]]
    return list(text)


def _replace(budget: Budget, text: object, old: object, new: object, most: object = -1) -> str:
    source, found, other = as_text(text, "replace"), as_text(old, "replace"), as_text(new, "replace")
    limit = as_int(most, "replace")
    count = source.count(found)
    if 0 <= limit < count:
        count = limit
    budget.make_text(len(source) + count * (len(other) - len(found)))
    return source.replace(found, other, count)


def _repeat(budget: Budget, text: object, times: object) -> str:
    source, count = as_text(text, "repeat"), as_int(times, "repeat")
    if not 0 <= count <= budget.limits.repeat:
        raise Fault(f"repeat needs a count from 0 to {budget.limits.repeat}")
    budget.make_text(len(source) * count)
    return source * count


def _join(budget: Budget, parts: object, separator: object = "") -> str:
    texts = [as_text(part, "join") for part in as_list(parts, "join")]
    mark = as_text(separator, "join")
    budget.make_text(sum(map(len, texts)) + len(mark) * max(0, len(texts) - 1))
    return mark.join(texts)


def _index_of(text: object, part: object) -> int:
    return as_text(text, "indexOf").find(as_text(part, "indexOf"))


def _last_index_of(text: object, part: object) -> int:
    return as_text(text, "lastIndexOf").rfind(as_text(part, "lastIndexOf"))


def _has_prefix(text: object, prefix: object) -> bool:
    return as_text(text, "hasPrefix").startswith(as_text(prefix, "hasPrefix"))


def _has_suffix(text: object, suffix: object) -> bool:
    return as_text(text, "hasSuffix").endswith(as_text(suffix, "hasSuffix"))


def _to_base64(text: object) -> str:
    try:
        return base64.b64encode(as_text(text, "toBase64").encode()).decode()
    except UnicodeEncodeError as error:
        raise Fault("toBase64 needs text that can be written in UTF-8") from error


def _from_base64(text: object) -> str:
    source = as_text(text, "fromBase64").replace("\n", "").replace("\r", "")
    try:
        return base64.b64decode(source, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise Fault("fromBase64 needs UTF-8 text in the standard alphabet, with padding") from error


FUNCTIONS: dict[str, Function] = {
    "trim": fixed(_trim, 1, 2),
    "trimPrefix": fixed(_trim_prefix, 2),
    "trimSuffix": fixed(_trim_suffix, 2),
    "upper": fixed(_upper, 1),
    "lower": fixed(_lower, 1),
    "split": metered(_split, 2, 3),
    "splitAfter": metered(_split_after, 2, 3),
    "replace": metered(_replace, 3, 4),
    "repeat": metered(_repeat, 2),
    "join": metered(_join, 1, 2),
    "indexOf": fixed(_index_of, 2),
    "lastIndexOf": fixed(_last_index_of, 2),
    "hasPrefix": fixed(_has_prefix, 2),
    "hasSuffix": fixed(_has_suffix, 2),
    "toBase64": fixed(_to_base64, 1),
    "fromBase64": fixed(_from_base64, 1),
}
