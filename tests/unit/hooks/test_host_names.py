from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_until
from torkd.hooks.host_names import HostNames, NoAddressInTime


class NameService:
    """Answers those of its hosts that are not stuck."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.asked: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host.startswith("stuck"):
            self.opened.wait(60)
        if host == "none":
            raise OSError("no such host")
        return [f"address of {host} {port}"]


@pytest.fixture
def service() -> Iterator[NameService]:
    made = NameService()
    yield made
    made.opened.set()


def test_a_name_is_answered_and_so_is_why_it_is_not(service: NameService) -> None:
    names = HostNames(service.resolve)
    assert names.addresses("here", 80, 10.0) == ["address of here 80"]
    with pytest.raises(OSError, match="no such host"):
        names.addresses("none", 80, None)


def test_a_name_that_is_never_answered_is_asked_for_once_and_holds_nobody(service: NameService) -> None:
    names = HostNames(service.resolve)
    for _ in range(3):
        with pytest.raises(NoAddressInTime):
            names.addresses("stuck", 80, 0.01)
    wait_until(lambda: service.asked == ["stuck"])
    assert names.addresses("here", 80, 10.0) == ["address of here 80"]
    service.opened.set()
    assert names.addresses("stuck", 80, 10.0) == ["address of stuck 80"]


def test_names_that_are_never_answered_hold_a_bounded_number_of_threads(service: NameService) -> None:
    names = HostNames(service.resolve, most=3)
    for number in range(5):
        with pytest.raises(NoAddressInTime):
            names.addresses(f"stuck{number}", 80, 0.01)
    wait_until(lambda: sorted(service.asked) == ["stuck0", "stuck1", "stuck2"])
    service.opened.set()
    wait_until(lambda: not names._asked)
    assert names.addresses("here", 80, 10.0) == ["address of here 80"]
