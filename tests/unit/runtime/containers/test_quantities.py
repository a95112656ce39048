from __future__ import annotations

import pytest

from tork.errors import RuntimeFailure
from torkd.runtime.containers.quantities import memory_bytes, nano_cpus

LARGEST = 2**63 - 1

CPUS = {
    "2": 2_000_000_000,
    ".5": 500_000_000,
    "0.5": 500_000_000,
    "1.": 1_000_000_000,
    "1.50": 1_500_000_000,
    "1/2": 500_000_000,
    "3/4": 750_000_000,
    "7/2": 3_500_000_000,
    "0.000000001": 1,
    "1.0000000000": 1_000_000_000,
    "1/1000000000": 1,
    "9223372036.854775807": LARGEST,
}


@pytest.mark.parametrize(("text", "expected"), CPUS.items(), ids=CPUS.keys())
def test_processors_are_counted_in_billionths(text: str, expected: int) -> None:
    assert nano_cpus(text) == expected


@pytest.mark.parametrize("text", ["0.0000000001", "1.1234567891", "1/3", "1/10000000000"])
def test_processors_that_no_number_of_billionths_gives_are_too_precise(text: str) -> None:
    with pytest.raises(RuntimeFailure, match=r"^invalid CPUs value: value is too precise \(right would be .*\)$"):
        nano_cpus(text)


WRONG_CPUS = {
    "empty": ("", "is not a number of processors"),
    "words": ("all", "is not a number of processors"),
    "infinite": ("inf", "is not a number of processors"),
    "not-a-number": ("nan", "is not a number of processors"),
    "dot": (".", "is not a number of processors"),
    "no-numerator": ("/2", "is not a number of processors"),
    "no-divisor": ("1/", "is not a number of processors"),
    "decimal-in-a-fraction": (".5/2", "is not a number of processors"),
    "two-fractions": ("1/2/3", "is not a number of processors"),
    "exponent": ("1e3", "is not a number of processors"),
    "comma": ("1,5", "is not a number of processors"),
    "space": ("1 ", "is not a number of processors"),
    "line-end": ("1\n", "is not a number of processors"),
    "other-digits": ("٢", "is not a number of processors"),
    "endless": ("1" * 100_000, "is not a number of processors"),
    "zero": ("0", "is not above zero"),
    "zero-decimal": ("0.00", "is not above zero"),
    "negative": ("-1", "is not above zero"),
    "divided-by-zero": ("1/0", "divides by zero"),
    "too-large": ("9223372036.854775808", "is too large"),
}


@pytest.mark.parametrize(("text", "fault"), WRONG_CPUS.values(), ids=WRONG_CPUS.keys())
def test_a_text_that_is_no_number_of_processors_is_refused_in_one_sentence(text: str, fault: str) -> None:
    with pytest.raises(RuntimeFailure, match=rf"^invalid CPUs value: '.*' {fault} \(right would be .*\)$") as failure:
        nano_cpus(text)
    assert len(str(failure.value)) < 200


MEMORY = {
    "1": 1,
    "1024": 1024,
    "10b": 10,
    "1k": 1024,
    "1K": 1024,
    "1kb": 1024,
    "1KiB": 1024,
    "512m": 512 * 1024**2,
    "512MB": 512 * 1024**2,
    "64 MiB": 64 * 1024**2,
    "1.5g": 3 * 1024**3 // 2,
    ".5g": 1024**3 // 2,
    "1.g": 1024**3,
    "2t": 2 * 1024**4,
    "1p": 1024**5,
    "1.9": 1,
    "0.001k": 1,
    "9223372036854775807": LARGEST,
}


@pytest.mark.parametrize(("text", "expected"), MEMORY.items(), ids=MEMORY.keys())
def test_memory_is_counted_in_bytes_by_powers_of_1024(text: str, expected: int) -> None:
    assert memory_bytes(text) == expected


WRONG_MEMORY = {
    "empty": ("", "is not an amount of memory"),
    "unit-alone": ("g", "is not an amount of memory"),
    "dot": (".g", "is not an amount of memory"),
    "words": ("much", "is not an amount of memory"),
    "infinite": ("inf", "is not an amount of memory"),
    "unknown-unit": ("1x", "is not an amount of memory"),
    "two-units": ("1gm", "is not an amount of memory"),
    "binary-without-unit": ("1ib", "is not an amount of memory"),
    "half-binary": ("1gi", "is not an amount of memory"),
    "two-spaces": ("1  g", "is not an amount of memory"),
    "line-end": ("1g\n", "is not an amount of memory"),
    "exponent": ("1e3", "is not an amount of memory"),
    "comma": ("1,5g", "is not an amount of memory"),
    "kelvin-sign": ("1\N{KELVIN SIGN}", "is not an amount of memory"),
    "endless": ("1" * 100_000, "is not an amount of memory"),
    "zero": ("0", "is not above zero"),
    "zero-with-unit": ("0g", "is not above zero"),
    "less-than-a-byte": ("0.5b", "is not above zero"),
    "negative": ("-1g", "is not above zero"),
    "too-large": ("8192p", "is too large"),
}


@pytest.mark.parametrize(("text", "fault"), WRONG_MEMORY.values(), ids=WRONG_MEMORY.keys())
def test_a_text_that_is_no_amount_of_memory_is_refused_in_one_sentence(text: str, fault: str) -> None:
    with pytest.raises(RuntimeFailure, match=rf"^invalid memory value: '.*' {fault} \(right would be .*\)$") as failure:
        memory_bytes(text)
    assert len(str(failure.value)) < 200
