"""`/users`, `/roles`, `/keys` and `/audit` on a real database, as admins and others use them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.account_world import PASSWORD, World, credentials
from torkd.datastore.account_protocol import UserChange

pytestmark = pytest.mark.postgres


def refused(world: World, method: str, path: str, body: Any, status: int = 400) -> str:
    answer = world.ask("admin", method, path, body)
    assert answer.status_code == status, answer.text
    return str(answer.json["message"])


def test_a_user_is_made_shown_changed_and_deleted(world: World) -> None:
    made = world.ask(
        "admin", "POST", "/users", {"username": " zoe ", "password": " long-enough ", "name": "Zoe", "extra": 1}
    )
    assert made.status_code == 200
    user = made.json
    assert (user["username"], user["name"], len(user["id"])) == ("zoe", "Zoe", 32)
    assert not {"password", "passwordHash", "disabled", "message"} & user.keys()
    assert world.ask("admin", "GET", f"/users/{user['id']}").json == user
    assert world.ask("admin", "GET", "/users/zoe").json == user
    changed = world.ask("admin", "PUT", "/users/zoe", {"name": "Zoë", "roles": ["crew"], "disabled": True}).json
    assert (changed["name"], changed["roles"], changed["disabled"]) == ("Zoë", ["crew"], True)
    assert world.ask("admin", "DELETE", "/users/zoe").json == {"status": "OK"}
    assert refused(world, "GET", "/users/zoe", None, 404) == "user 'zoe' not found"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"password": "long-enough"}, "must provide username"),
        ({"username": "  ", "password": "long-enough"}, "must provide username"),
        ({"username": "u"}, "must provide password"),
        ({"username": "u", "password": " "}, "must provide password"),
        ({"username": "admin", "password": "long-enough"}, "user already exists"),
        ({"username": "guest", "password": "long-enough"}, "user already exists"),
        (
            {"username": "u", "password": "  seven 7  "},
            "the password is too short (right would be at least 8 characters)",
        ),
        ({"username": "u", "password": "é" * 7}, "the password is too short (right would be at least 8 characters)"),
        ({"username": "u", "password": "p" * 73}, "invalid password"),
        ({"username": "u", "password": "é" * 37}, "invalid password"),
        ({"username": "a:b", "password": "long-enough"}, "the username has ':', '/' or signs"),
        ({"username": "me", "password": "long-enough"}, "'me' can't be a username"),
        ({"username": "0" * 32, "password": "long-enough"}, "'00000000000000000000000000000000' can't be a username"),
        ({"username": "u" * 101, "password": "long-enough"}, "the username is too long"),
        ({"username": "u", "password": "long-enough", "roles": ["nope"]}, "there is no role 'nope'"),
        ({"username": 7, "password": "long-enough"}, "the body is wrong: Expected `str | null`, got `int`"),
        ([], "the body is wrong: Expected `object`, got `array`"),
    ],
)
def test_a_user_that_can_not_be_is_refused_with_a_sentence(world: World, body: Any, message: str) -> None:
    assert refused(world, "POST", "/users", body).startswith(message)
    assert world.ask("admin", "GET", "/users/u").status_code == 404


def test_a_body_that_is_nested_without_end_is_refused(world: World) -> None:
    body = b'{"extra":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    for path in ("/users", "/roles", "/keys"):
        answer = world.client.simulate_post(path, body=body, headers=credentials("admin"))
        assert answer.status_code == 400
        assert answer.json["message"] == "the body is nested too deeply (right would be a JSON object)"


def test_a_body_that_is_no_json_is_refused(world: World) -> None:
    for path in ("/users", "/roles", "/keys"):
        answer = world.client.simulate_post(path, body=b"{", headers=credentials("admin"))
        assert answer.status_code == 400
        assert answer.json["message"].startswith("the body can't be read")


def test_users_are_listed_by_name_in_pages(world: World) -> None:
    page = world.ask("admin", "GET", "/users?size=2").json
    assert [user["username"] for user in page["items"]] == ["admin", "creator"]
    assert (page["number"], page["size"], page["totalItems"]) == (1, 2, page["totalPages"] * 2 - page["totalItems"] % 2)
    everybody = world.ask("admin", "GET", "/users?size=100").json["items"]
    assert {"guest", "member", "other"} <= {user["username"] for user in everybody}
    assert not [user for user in everybody if user["username"].startswith("key:")]


def test_a_disabled_user_is_out_at_once_and_in_again(world: World) -> None:
    world.add_user("yann")
    assert world.status("yann", "GET", "/jobs") == 200
    world.ask("admin", "PUT", "/users/yann", {"disabled": True})
    assert world.status("yann", "GET", "/jobs") == 401
    world.ask("admin", "PUT", "/users/yann", {"disabled": False})
    assert world.status("yann", "GET", "/jobs") == 200


def test_roles_count_at_once(world: World) -> None:
    world.add_user("xena")
    assert world.status("xena", "GET", "/users") == 403
    assert world.ask("admin", "PUT", "/users/xena/roles/admin").json["roles"] == ["admin"]
    assert world.status("xena", "GET", "/users") == 200
    assert "roles" not in world.ask("admin", "DELETE", "/users/xena/roles/admin").json
    assert world.status("xena", "GET", "/users") == 403
    assert refused(world, "DELETE", "/users/xena/roles/admin", None, 404) == "xena does not have the role admin"
    assert refused(world, "PUT", "/users/xena/roles/nope", None, 404) == "role 'nope' not found"


def test_everybody_has_an_account_and_a_password_of_their_own(world: World) -> None:
    world.add_user("wim", "crew")
    me = world.ask("wim", "GET", "/users/me").json
    assert (me["username"], me["roles"]) == ("wim", ["crew"])
    assert world.ask("wim", "GET", "/users/wim").json == me
    wrong = world.ask("wim", "PUT", "/users/me/password", {"password": "new-and-long", "current": "wrong"})
    assert (wrong.status_code, wrong.json["message"]) == (400, "current: not the present password")
    changed = world.ask("wim", "PUT", "/users/me/password", {"password": "new-and-long", "current": PASSWORD})
    assert changed.json == {"status": "OK"}
    assert world.status("wim", "GET", "/jobs") == 401
    assert world.ask("admin", "PUT", "/users/wim/password", {"password": PASSWORD}).json == {"status": "OK"}
    assert world.status("wim", "GET", "/jobs") == 200
    own = world.ask("admin", "PUT", "/users/me/password", {"password": "new-and-long"})
    assert (own.status_code, own.json["message"]) == (400, "current: not the present password")


def test_a_password_of_eight_characters_is_taken_and_none_shorter(world: World) -> None:
    world.add_user("una")
    too_short = "the password is too short (right would be at least 8 characters)"
    assert refused(world, "PUT", "/users/una", {"password": "seven77"}) == too_short
    assert refused(world, "PUT", "/users/una/password", {"password": "seven77"}) == too_short
    assert world.status("una", "GET", "/jobs") == 200
    assert world.ask("admin", "PUT", "/users/una/password", {"password": "\u00e9ight888"}).json == {"status": "OK"}
    assert world.status("una", "GET", "/jobs") == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/users/admin", None),
        ("PUT", "/users/admin", {"disabled": True}),
        ("PUT", "/users/admin", {"roles": []}),
        ("DELETE", "/users/admin/roles/admin", None),
    ],
    ids=["delete", "disable", "roles", "revoke"],
)
def test_the_last_admin_stays_one(world: World, method: str, path: str, body: Any) -> None:
    assert refused(world, method, path, body).startswith("admin is the last admin")
    assert world.status("admin", "GET", "/users") == 200


def test_two_admins_can_not_take_each_others_role_at_the_same_time(world: World) -> None:
    for _ in range(5):
        world.ask("admin", "POST", "/users", {"username": "second", "password": PASSWORD, "roles": ["admin"]})
        both = [
            threading.Thread(target=world.ask, args=("admin", "DELETE", f"/users/{name}/roles/admin"))
            for name in ("admin", "second")
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        accounts = [world.datastore.get_user(name) for name in ("admin", "second")]
        assert sum("admin" in account.roles for account in accounts) == 1
        world.datastore.change_user("admin", UserChange(roles=["admin"]))
        world.datastore.delete_user("second")


def test_roles_that_are_given_at_the_same_time_are_all_had(world: World) -> None:
    slugs = [f"squad-{number}" for number in range(12)]
    for slug in slugs:
        world.ask("admin", "POST", "/roles", {"slug": slug})
    world.ask("admin", "PUT", "/users/other/roles/crew")
    ready = threading.Barrier(len(slugs) + 1)

    def ask(method: str, slug: str) -> None:
        ready.wait()
        world.ask("admin", method, f"/users/other/roles/{slug}")

    asking = [threading.Thread(target=ask, args=("PUT", slug)) for slug in slugs]
    asking.append(threading.Thread(target=ask, args=("DELETE", "crew")))
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert world.ask("admin", "GET", "/users/other").json["roles"] == sorted(slugs)


def test_the_guest_is_built_in(world: World) -> None:
    assert refused(world, "DELETE", "/users/guest", None) == "the guest is built in and can't be deleted"
    assert (
        refused(world, "PUT", "/users/guest", {"password": "long-enough"})
        == "the guest is built in and can't be changed"
    )


def test_a_name_is_free_again_but_its_jobs_are_not(world: World) -> None:
    world.add_user("vera")
    job = {"name": "of vera", "tasks": [{"name": "t", "run": "true"}], "permissions": [{"user": "vera"}]}
    job_id = world.submit("vera", job)
    world.ask("admin", "DELETE", "/users/vera")
    world.add_user("vera")
    assert world.status("vera", "GET", f"/jobs/{job_id}") == 404
    shown = world.ask("admin", "GET", f"/jobs/{job_id}").json
    assert (shown["createdBy"]["username"], shown["createdBy"]["disabled"]) == ("vera", True)


def test_a_role_is_made_shown_renamed_and_deleted(world: World) -> None:
    made = world.ask("admin", "POST", "/roles", {"slug": "night-shift", "name": "The night shift"}).json
    assert (made["slug"], made["name"], len(made["id"])) == ("night-shift", "The night shift", 32)
    assert refused(world, "POST", "/roles", {"slug": "night-shift"}) == "role 'night-shift' already exists"
    assert world.ask("admin", "GET", "/roles/night-shift").json == made
    assert world.ask("admin", "PUT", "/roles/night-shift", {"name": "Nights"}).json["name"] == "Nights"
    assert refused(world, "PUT", "/roles/night-shift", {"name": "N", "slug": "x"}).startswith("a role's slug can't be")
    assert "night-shift" in {role["slug"] for role in world.ask("admin", "GET", "/roles?size=100").json["items"]}
    assert world.ask("admin", "DELETE", f"/roles/{made['id']}").json == {"status": "OK"}
    assert refused(world, "GET", "/roles/night-shift", None, 404) == "role 'night-shift' not found"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "must provide slug"),
        ({"slug": "Night Shift"}, "'Night Shift' can't be a role's slug"),
        ({"slug": "é"}, "'é'"),
    ],
)
def test_a_role_that_can_not_be_is_refused(world: World, body: Any, message: str) -> None:
    assert refused(world, "POST", "/roles", body).startswith(message)


@pytest.mark.parametrize("slug", ["admin", "public"])
def test_built_in_roles_are_there_and_stay(world: World, slug: str) -> None:
    assert refused(world, "DELETE", f"/roles/{slug}", None) == f"role {slug} is built in and can't be deleted"


def test_a_job_whose_role_is_deleted_does_not_become_everybodys(world: World) -> None:
    world.ask("admin", "POST", "/roles", {"slug": "brief"})
    world.add_user("uma", "brief")
    job = {"name": "j", "tasks": [{"name": "t", "run": "true"}], "permissions": [{"role": "brief"}]}
    job_id = world.submit("creator", job)
    assert world.status("uma", "GET", f"/jobs/{job_id}") == 200
    world.ask("admin", "DELETE", "/roles/brief")
    assert [world.status(who, "GET", f"/jobs/{job_id}") for who in ("uma", "other", "creator")] == [404, 404, 200]


def test_a_key_is_told_once_and_can_be_revoked(world: World) -> None:
    made = world.ask("admin", "POST", "/keys", {"name": "ci", "roles": ["crew"]}).json
    assert (made["name"], made["roles"]) == ("ci", ["crew"])
    bearer = f"Bearer {made['key']}"
    assert world.status(bearer, "GET", "/jobs") == 200
    shown = world.ask("admin", "GET", "/keys/ci").json
    assert shown["lastUsedAt"] >= shown["createdAt"]
    assert "key" not in shown
    assert made["key"] not in world.ask("admin", "GET", "/keys").text
    me = world.ask(bearer, "GET", "/users/me").json
    assert (me["username"], me["roles"]) == ("key:ci", ["crew"])
    assert world.ask(bearer, "PUT", "/users/me/password", {"password": "long-enough"}).status_code == 400
    assert refused(world, "POST", "/keys", {"name": "ci"}) == "key 'ci' already exists"
    assert world.ask("admin", "PUT", f"/keys/{made['id']}", {"name": "cd", "disabled": True}).json["name"] == "cd"
    assert world.status(bearer, "GET", "/jobs") == 401
    world.ask("admin", "PUT", "/keys/cd", {"disabled": False})
    assert world.status(bearer, "GET", "/jobs") == 200
    assert world.ask("admin", "DELETE", "/keys/cd").json == {"status": "OK"}
    assert world.status(bearer, "GET", "/jobs") == 401
    assert refused(world, "GET", "/keys/cd", None, 404) == "key 'cd' not found"


def test_neither_keys_nor_passwords_are_stored(world: World) -> None:
    key = world.add_key("stored")
    with world.datastore._questions.connection() as connection:
        stored = connection.execute("SELECT string_agg(u::text, ''), string_agg(k::text, '') FROM users u, api_keys k")
        text = str(stored.fetchone())
    assert key not in text
    assert key.rpartition("_")[2].encode().hex() not in text
    assert PASSWORD not in text
    assert "$argon2id$" in text


def test_the_key_of_the_configuration_acts_as_the_guest(world: World) -> None:
    bearer = "Bearer of-the-configuration"
    job_id = world.submit(bearer, {"name": "j", "tasks": [{"name": "t", "run": "true"}]})
    assert world.ask(bearer, "GET", f"/jobs/{job_id}").json["createdBy"]["username"] == "guest"
    assert world.status(bearer, "GET", "/users") == 200


def test_who_did_what_is_told_latest_first_and_can_be_searched(world: World) -> None:
    job_id = world.submit("creator", {"name": "j", "tasks": [{"name": "t", "run": "true"}]})
    world.ask("member", "PUT", f"/jobs/{job_id}/cancel")
    world.ask("member", "PUT", f"/jobs/{job_id}/cancel")
    found = world.ask("admin", "GET", f"/audit?target={job_id}").json
    assert [(entry["username"], entry["action"]) for entry in found["items"]] == [
        ("member", "job.cancel"),
        ("creator", "job.submit"),
    ]
    assert found["totalItems"] == 2
    assert found["items"][0]["userId"] == world.ids["member"]
    assert found["items"][0]["address"] == "127.0.0.1"
    world.client.simulate_get("/jobs", headers={"Authorization": "Basic Zm9vOmJhcg=="})
    failed = world.ask("admin", "GET", "/audit?user=foo&action=sign-in.failed").json
    assert failed["totalItems"] == 1
    page = world.ask("admin", "GET", "/audit?size=1&page=2").json
    assert (page["number"], page["size"]) == (2, 1)


def test_what_changes_of_an_account_is_told_without_passwords(world: World) -> None:
    world.add_user("tess")
    world.add_key("told")
    world.ask("admin", "PUT", "/users/tess", {"roles": ["crew", "admin"], "password": "battery-staple"})
    world.ask("admin", "PUT", "/keys/told", {"roles": ["admin"], "disabled": True})
    details = [
        world.ask("admin", "GET", f"/audit?target={name}").json["items"][0]["detail"] for name in ("tess", "told")
    ]
    assert details == ["roles: admin, crew; password", "disabled: true; roles: admin"]


def test_old_entries_go(world: World) -> None:
    with world.datastore._questions.connection() as connection:
        connection.execute("UPDATE audit_log SET at = now() - interval '91 days' WHERE action = 'job.submit'")
        connection.execute("INSERT INTO audit_log (username, action) VALUES ('x', 'young')")
    world.datastore.delete_old(jobs_seconds=1e9, logs_seconds=1e9, limit=10_000)
    assert world.ask("admin", "GET", "/audit?action=job.submit").json["totalItems"] == 0
    assert world.ask("admin", "GET", "/audit?action=young").json["totalItems"] == 1
