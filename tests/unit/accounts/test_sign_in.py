"""Passwords and keys: who gets in, what is remembered, and what guessing costs."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.account_fakes import ADMIN, FakeAccounts
from torkd.accounts import sign_in as module
from torkd.accounts.keys import digest_of, key_id_of, make_key
from torkd.accounts.passwords import AT_ONCE, hash_password, is_password
from torkd.accounts.sign_in import REMEMBERED_SECONDS, SignIn, TooManyTries
from torkd.accounts.throttle import FREE_TRIES, Throttle


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts() -> FakeAccounts:
    accounts = FakeAccounts()
    accounts.put("ada", "correct-horse", ADMIN)
    accounts.put("gone", "correct-horse", disabled=True)
    accounts.put("key:ci", "")
    return accounts


@pytest.fixture
def door(accounts: FakeAccounts, clock: Clock) -> SignIn:
    return SignIn(accounts, configured_key="hush", throttle=Throttle(clock), clock=clock)


def test_a_user_with_the_password_gets_in_with_their_roles(door: SignIn) -> None:
    caller = door.by_password("ada", "correct-horse", "::1")
    assert caller is not None
    assert (caller.username, caller.role_slugs, caller.is_admin, caller.viewer) == ("ada", ["admin"], True, None)


@pytest.mark.parametrize(
    ("username", "password"),
    [("ada", "wrong"), ("ada", ""), ("nobody", "correct-horse"), ("gone", "correct-horse"), ("key:ci", ""), ("", "x")],
)
def test_nobody_else_does(door: SignIn, username: str, password: str) -> None:
    assert door.by_password(username, password, "::1") is None


def test_guesses_that_come_together_are_no_more_free_tries(door: SignIn) -> None:
    ready = threading.Barrier(40)

    def guess(number: int) -> bool:
        ready.wait()
        try:
            return door.by_password("ada", f"guess {number}", "::1") is None
        except TooManyTries:
            return False

    with ThreadPoolExecutor(40) as guessing:
        tried = sum(guessing.map(guess, range(40)))
    assert FREE_TRIES <= tried < FREE_TRIES + AT_ONCE


def test_an_unknown_user_costs_as_much_as_a_known_one(door: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    def check(password: str, password_hash: str) -> bool:
        checked.append(password_hash)
        return is_password(password, password_hash)

    monkeypatch.setattr(module, "is_password", check)
    for username in ("ada", "nobody", "gone"):
        door.by_password(username, "wrong", "::1")
    assert len(checked) == 3


def test_a_password_is_checked_once_a_minute(door: SignIn, accounts: FakeAccounts, clock: Clock) -> None:
    for _ in range(3):
        assert door.by_password("ada", "correct-horse", "::1") is not None
    assert accounts.asked == 1
    clock.now += REMEMBERED_SECONDS
    assert door.by_password("ada", "correct-horse", "::1") is not None
    assert accounts.asked == 2


def test_a_change_of_accounts_counts_at_once(door: SignIn, accounts: FakeAccounts) -> None:
    assert door.by_password("ada", "correct-horse", "::1") is not None
    accounts.put("ada", "another")
    door.forget()
    assert door.by_password("ada", "correct-horse", "::1") is None


def test_what_was_read_before_a_change_is_not_remembered_after_it(
    door: SignIn, accounts: FakeAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(password: str, password_hash: str) -> bool:
        accounts.put("ada", "another")
        door.forget()
        return is_password(password, password_hash)

    with monkeypatch.context() as patch:
        patch.setattr(module, "is_password", check)
        assert door.by_password("ada", "correct-horse", "::1") is not None
    assert door.by_password("ada", "correct-horse", "::1") is None


def test_neither_passwords_nor_keys_are_kept_in_the_open(door: SignIn) -> None:
    door.by_password("ada", "correct-horse", "::1")
    assert "correct-horse" not in repr(vars(door))
    assert hashlib.sha256(b"correct-horse").hexdigest() not in repr(vars(door))


def test_the_key_of_the_configuration_may_do_everything_as_the_guest(door: SignIn, accounts: FakeAccounts) -> None:
    caller = door.by_key("hush", "::1")
    assert caller is not None
    assert (caller.username, caller.is_admin) == ("guest", True)
    assert accounts.asked == 0


def test_a_named_key_gets_in_as_its_account(door: SignIn, accounts: FakeAccounts) -> None:
    key_id = "a" * 32
    key = make_key(key_id)
    accounts.put(key_id, key_digest=digest_of(key))
    caller = door.by_key(key, "::1")
    assert caller is not None
    assert (caller.user_id, caller.is_admin, accounts.used_keys) == (key_id, False, [key_id])
    assert door.by_key(make_key(key_id), "::1") is None, "the id alone is not enough"
    accounts.put(key_id, key_digest=digest_of(key), disabled=True)
    door.forget()
    assert door.by_key(key, "::1") is None


@pytest.mark.parametrize("key", ["", "hus", "torkd__", "torkd_" + "a" * 32 + "_short", "ключ"])
def test_what_is_no_key_is_refused(door: SignIn, key: str) -> None:
    assert door.by_key(key, "::1") is None
    assert key_id_of(key) is None


def test_without_a_configured_key_an_empty_one_is_none(accounts: FakeAccounts) -> None:
    assert SignIn(accounts).by_key("", "::1") is None


def test_guessing_has_to_wait_longer_and_longer(door: SignIn, accounts: FakeAccounts, clock: Clock) -> None:
    for _ in range(FREE_TRIES):
        assert door.by_password("ada", "wrong", "10.0.0.1") is None
    waits = []
    for _ in range(3):
        with pytest.raises(TooManyTries) as caught:
            door.by_password("ada", "wrong", "10.0.0.1")
        waits.append(caught.value.seconds)
        clock.now += caught.value.seconds
        assert door.by_password("ada", "wrong", "10.0.0.1") is None
    assert waits == [1, 2, 4]
    assert "too many failed sign-ins: try again in 4 s" in str(caught.value)
    assert [act.action for act in accounts.acts] == ["sign-in.failed"] * (FREE_TRIES + 3)


def test_a_blocked_account_is_not_looked_up(door: SignIn, accounts: FakeAccounts) -> None:
    for number in range(FREE_TRIES):
        door.by_password("ada", "wrong", f"10.0.0.{number}")
    asked = accounts.asked
    with pytest.raises(TooManyTries):
        door.by_password("ada", "correct-horse", "10.0.0.99")
    assert accounts.asked == asked


def test_a_blocked_address_can_try_no_other_account_and_no_key(door: SignIn) -> None:
    for number in range(FREE_TRIES):
        door.by_password(f"user{number}", "wrong", "10.0.0.1")
    with pytest.raises(TooManyTries):
        door.by_password("ada", "correct-horse", "10.0.0.1")
    with pytest.raises(TooManyTries):
        door.by_key("guess", "10.0.0.1")
    assert door.by_password("ada", "correct-horse", "10.0.0.2") is not None


def test_whoever_was_signed_in_is_not_locked_out_by_others(door: SignIn, clock: Clock) -> None:
    assert door.by_password("ada", "correct-horse", "10.0.0.1") is not None
    clock.now += REMEMBERED_SECONDS
    for number in range(2 * FREE_TRIES):
        try:
            door.by_password("ada", "wrong", f"10.0.1.{number}")
        except TooManyTries:
            continue
    assert door.by_password("ada", "correct-horse", "10.0.0.1") is not None


def fail(door: SignIn, address: str) -> None:
    """So often that whoever is there has to wait."""
    for number in range(FREE_TRIES):
        assert door.by_key(f"guess {number}", address) is None


def test_a_guess_that_has_to_wait_is_not_told_to_be_what_the_owner_has_just_used(door: SignIn) -> None:
    assert door.by_password("ada", "correct-horse", "10.0.0.1") is not None
    fail(door, "10.0.0.2")
    with pytest.raises(TooManyTries):
        door.by_password("ada", "correct-horse", "10.0.0.2")
    assert door.by_password("ada", "correct-horse", "10.0.0.1") is not None


def test_what_is_remembered_is_checked_anew_at_another_address(door: SignIn, accounts: FakeAccounts) -> None:
    for address in ("10.0.0.1", "10.0.0.2"):
        assert door.by_password("ada", "correct-horse", address) is not None
    assert accounts.asked == 2
    for number in range(FREE_TRIES):
        door.by_password("ada", "wrong", f"10.0.1.{number}")
    assert door.by_password("ada", "correct-horse", "10.0.0.2") is not None, "it has signed in there"


def test_guessing_the_key_of_the_configuration_has_to_wait_but_not_where_it_was_used(door: SignIn) -> None:
    assert door.by_key("hush", "10.0.0.1") is not None
    fail(door, "10.0.0.2")
    with pytest.raises(TooManyTries):
        door.by_key("hush", "10.0.0.2")
    assert door.by_key("hush", "10.0.0.1") is not None


def test_a_named_key_never_waits_for_what_others_try_at_its_address(
    door: SignIn, accounts: FakeAccounts, clock: Clock
) -> None:
    key_id = "a" * 32
    key = make_key(key_id)
    accounts.put(key_id, key_digest=digest_of(key))
    fail(door, "10.0.0.1")
    assert door.by_key(key, "10.0.0.1") is not None
    clock.now += REMEMBERED_SECONDS
    assert door.by_key("guess", "10.0.0.1") is None
    assert door.by_key(key, "10.0.0.1") is not None
    with pytest.raises(TooManyTries):
        door.by_key(make_key(key_id), "10.0.0.1")


def test_the_throttle_forgets(clock: Clock) -> None:
    throttle = Throttle(clock)
    for number in range(50_000):
        throttle.failed(f"user{number}", f"address{number}")
        throttle.succeeded(f"friend{number}", f"address{number}")
    assert len(throttle._failures) + len(throttle._trusted) <= 40_000
    for _ in range(FREE_TRIES):
        throttle.failed("ada", "a")
    assert throttle.wait_seconds("ada", "a") > 0
    clock.now += 3601
    throttle.failed("ada", "a")
    assert throttle.wait_seconds("ada", "a") == 0


def test_hashes_of_one_password_differ_and_are_argon2id() -> None:
    one, other = hash_password("p"), hash_password("p")
    assert one != other
    assert one.startswith("$argon2id$")
    assert is_password("p", one)
    assert not is_password("p", "$2b$10$notargon2")
    assert not is_password("p", "")
