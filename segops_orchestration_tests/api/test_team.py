"""Who is in a tenant, who may change that, and what the audit log says of it."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from segops_orchestration.catalog.people_records import Role
from segops_orchestration_tests.api.calling import OPERATOR, Api, Caller, Tenant
from segops_orchestration_tests.api.people import (
    PASSWORD,
    Account,
    account,
    bare_tenant,
    bearer,
    membership_id,
    stranger,
)


@pytest.fixture
def tenant(api: Api) -> Tenant:
    return bare_tenant(api)


@pytest.fixture
def other_tenant(api: Api) -> Tenant:
    return bare_tenant(api)


def new_email() -> str:
    return f"new-{secrets.token_hex(6)}@example.com"


@pytest.fixture
def owner(api: Api, tenant: Tenant) -> Account:
    return account(api, tenant, "owner", "owner")


def roles(tenant: Tenant) -> dict[str, str]:
    return {one.person.email: one.role for one in tenant.api.catalog.people.team(tenant.slug)}


# Reading


def test_everybody_in_the_tenant_reads_the_team(api: Api, tenant: Tenant, owner: Account) -> None:
    viewer = account(api, tenant, "viewer", "viewer")

    page = viewer.caller().get("team/")

    assert (page["count"], page["next"], page["previous"]) == (2, None, None)
    assert {one["email"]: (one["role"], one["status"]) for one in page["results"]} == {
        owner.email: ("owner", "active"),
        viewer.email: ("viewer", "active"),
    }
    assert tenant.viewer_key.get("team/")["count"] == 2


def test_a_person_in_several_tenants_says_which(api: Api, tenant: Tenant, other_tenant: Tenant) -> None:
    person = account(api, tenant, "admin")
    api.catalog.people.add_member(other_tenant.slug, person.email, "", "viewer", OPERATOR)
    caller = person.caller()

    caller.get("team/", status=400)
    caller.get("audit/", headers={"X-SegOps-Tenant": tenant.slug})
    caller.get(f"audit/?tenant={other_tenant.slug}", status=403)
    caller.get("team/", headers={"X-SegOps-Tenant": "unknown"}, status=404)


# Adding


def test_a_new_person_chooses_a_password_with_the_invitation(api: Api, tenant: Tenant, owner: Account) -> None:
    email = new_email()

    added = owner.caller().post("team/", {"email": email, "role": "member", "name": "Bob"}, status=201)

    assert (added["email"], added["name"], added["role"], added["status"]) == (email, "Bob", "member", "invited")
    chosen = {"token": added["invitation"]["token"], "password": PASSWORD}
    tokens = stranger(api).post("auth/password/", chosen)
    me = bearer(api, tokens["access"]).get("auth/me/")
    assert me["tenants"] == [{"tenant": tenant.slug, "role": "member"}]
    assert roles(tenant)[email] == "member"


def test_a_person_of_another_tenant_joins_with_the_password_they_have(
    api: Api, tenant: Tenant, other_tenant: Tenant, owner: Account
) -> None:
    person = account(api, other_tenant, "admin")

    added = owner.caller().post("team/", {"email": person.email, "role": "viewer"}, status=201)

    assert (added["status"], added["invitation"]) == ("active", None)
    assert {one["tenant"] for one in person.caller().get("auth/me/")["tenants"]} == {tenant.slug, other_tenant.slug}


def test_who_was_invited_elsewhere_and_has_no_password_is_not_added(
    api: Api, tenant: Tenant, other_tenant: Tenant, owner: Account
) -> None:
    # Whoever holds the other tenant's invitation would be let in here.
    email = new_email()
    api.catalog.people.add_member(other_tenant.slug, email, "", "member", OPERATOR)
    owner.caller().post("team/", {"email": email, "role": "viewer"}, status=409)
    assert email not in roles(tenant)


def test_to_remove_and_add_gives_a_new_invitation_and_the_old_one_is_void(api: Api, owner: Account) -> None:
    body = {"email": new_email(), "role": "member"}
    first = owner.caller().post("team/", body, status=201)
    owner.caller().call("DELETE", f"team/{first['id']}/", status=204)
    second = owner.caller().post("team/", body, status=201)

    old, new = first["invitation"]["token"], second["invitation"]["token"]
    stranger(api).post("auth/password/", {"token": old, "password": PASSWORD}, status=401)
    stranger(api).post("auth/password/", {"token": new, "password": PASSWORD})


def test_nobody_is_added_twice(owner: Account) -> None:
    owner.caller().post("team/", {"email": owner.email, "role": "viewer"}, status=409)


@pytest.mark.parametrize("email", ["", "ada", "a@b@c", "a b@example.com", "a\x00@example.com"])
def test_what_is_no_address_is_refused(owner: Account, email: str) -> None:
    answer = owner.caller().post("team/", {"email": email, "role": "viewer"}, status=400)
    assert set(answer) == {"email"}


# Rules of roles


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_members_and_viewers_change_nothing(api: Api, tenant: Tenant, owner: Account, role: Role) -> None:
    caller, other = account(api, tenant, role).caller(), account(api, tenant, "viewer")
    place = membership_id(tenant, other)
    before = roles(tenant)

    caller.post("team/", {"email": new_email(), "role": "viewer"}, status=403)
    caller.call("PATCH", f"team/{place}/", {"role": "viewer"}, status=403)
    caller.call("DELETE", f"team/{place}/", status=403)
    caller.post("team/transfer-ownership/", {"member_id": place}, status=403)
    caller.get("audit/", status=403)

    assert roles(tenant) == before


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_keys_change_no_team(tenant: Tenant, owner: Account, method: str) -> None:
    path = "team/" if method == "POST" else f"team/{membership_id(tenant, owner)}/"
    body = {"POST": {"email": new_email(), "role": "viewer"}, "PATCH": {"role": "viewer"}}.get(method)
    tenant.admin_key.call(method, path, body, status=403)
    tenant.admin_key.post("team/transfer-ownership/", {"member_id": 1}, status=403)


def test_an_admin_gives_any_role_but_owner(api: Api, tenant: Tenant, owner: Account) -> None:
    admin, other = account(api, tenant, "admin").caller(), account(api, tenant, "viewer")
    place = f"team/{membership_id(tenant, other)}/"
    for role in ("member", "admin", "viewer"):
        assert admin.call("PATCH", place, {"role": role})["role"] == role
    admin.call("PATCH", place, {"role": "owner"}, status=400)
    admin.post("team/", {"email": new_email(), "role": "owner"}, status=400)
    admin.post("team/transfer-ownership/", {"member_id": membership_id(tenant, other)}, status=403)


def test_the_owner_is_not_lowered_or_removed_by_anybody(api: Api, tenant: Tenant, owner: Account) -> None:
    place = f"team/{membership_id(tenant, owner)}/"
    for caller, status in ((account(api, tenant, "admin").caller(), 403), (owner.caller(), 409)):
        caller.call("PATCH", place, {"role": "viewer"}, status=status)
        caller.call("DELETE", place, status=status)
    assert roles(tenant)[owner.email] == "owner"


def test_everybody_but_the_owner_may_leave(api: Api, tenant: Tenant, owner: Account) -> None:
    viewer = account(api, tenant, "viewer")
    caller = viewer.caller()

    caller.call("DELETE", f"team/{membership_id(tenant, viewer)}/", status=204)

    assert viewer.email not in roles(tenant)
    caller.get("team/", status=403)


def test_who_is_removed_is_out_at_once(api: Api, tenant: Tenant, owner: Account) -> None:
    member = account(api, tenant)
    caller = member.caller()
    caller.get("team/")
    owner.caller().call("DELETE", f"team/{membership_id(tenant, member)}/", status=204)
    caller.get("team/", status=403)


# Ownership


def test_ownership_is_handed_over_and_the_former_owner_is_admin(api: Api, tenant: Tenant, owner: Account) -> None:
    heir = account(api, tenant)

    answer = owner.caller().post("team/transfer-ownership/", {"member_id": membership_id(tenant, heir)})

    assert (answer["email"], answer["role"]) == (heir.email, "owner")
    assert roles(tenant) == {heir.email: "owner", owner.email: "admin"}
    owner.caller().post("team/transfer-ownership/", {"member_id": membership_id(tenant, owner)}, status=403)


def test_who_cannot_log_in_does_not_become_owner(api: Api, tenant: Tenant, owner: Account) -> None:
    invited = owner.caller().post("team/", {"email": new_email(), "role": "admin"}, status=201)
    owner.caller().post("team/transfer-ownership/", {"member_id": invited["id"]}, status=409)
    assert roles(tenant)[owner.email] == "owner"


def test_of_two_transfers_at_once_there_is_one_owner_in_the_end(api: Api, tenant: Tenant, owner: Account) -> None:
    caller = owner.caller()
    heirs = [membership_id(tenant, account(api, tenant)) for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda heir: _send(caller, "POST", "team/transfer-ownership/", {"member_id": heir}), heirs)
        )

    assert sorted(answers) == [200, 403]
    assert sorted(roles(tenant).values()) == ["admin", "member", "owner"]


def _send(caller: Caller, method: str, path: str, body: Any) -> int:
    # A session of requests is not for several threads.
    return Caller(caller.url, caller.headers).send(method, path, body).status_code


# Another tenant


def test_members_of_another_tenant_are_not_there(
    api: Api, tenant: Tenant, other_tenant: Tenant, owner: Account
) -> None:
    stray = membership_id(other_tenant, account(api, other_tenant))
    caller = owner.caller()
    for place in (stray, 2**31 - 1):
        caller.call("PATCH", f"team/{place}/", {"role": "viewer"}, status=404)
        caller.call("DELETE", f"team/{place}/", status=404)
        caller.post("team/transfer-ownership/", {"member_id": place}, status=404)
    assert sorted(roles(other_tenant).values()) == ["member"]


@pytest.mark.parametrize("place", ["0", "-1", str(2**63), "one"])
def test_what_cannot_be_an_id_is_refused(owner: Account, place: str) -> None:
    owner.caller().call("PATCH", f"team/{place}/", {"role": "viewer"}, status=400)


# Audit log


def test_every_change_of_team_and_keys_is_in_the_audit_log(api: Api, tenant: Tenant, owner: Account) -> None:
    caller = owner.caller()
    key = caller.post("auth/api-keys/", {"name": "importer"}, status=201)
    caller.call("DELETE", f"auth/api-keys/{key['id']}/", status=204)
    email = new_email()
    added = caller.post("team/", {"email": email, "role": "member"}, status=201)
    caller.call("PATCH", f"team/{added['id']}/", {"role": "admin"})
    caller.call("DELETE", f"team/{added['id']}/", status=204)

    page = caller.get("audit/?page_size=5")

    assert page["count"] == 6
    assert [(one["action"], one["details"]) for one in page["results"]] == [
        ("team.remove", {"role": "admin"}),
        ("team.role", {"from": "member", "to": "admin"}),
        ("team.add", {"role": "member"}),
        ("key.revoke", {}),
        ("key.create", {"kind": "secret", "role": "member"}),
    ]
    assert {(one["actor_kind"], one["actor"]) for one in page["results"]} == {("person", owner.email)}
    assert {one["target"] for one in page["results"][:3]} == {email}
    assert caller.get("audit/?page_size=5&page=2")["results"][0]["actor_kind"] == "operator"


def test_a_change_that_is_none_is_not_in_the_audit_log(api: Api, tenant: Tenant, owner: Account) -> None:
    member = account(api, tenant)
    before = owner.caller().get("audit/")["count"]
    owner.caller().call("PATCH", f"team/{membership_id(tenant, member)}/", {"role": "member"})
    assert owner.caller().get("audit/")["count"] == before


def test_the_audit_log_is_the_tenants_own(api: Api, tenant: Tenant, other_tenant: Tenant, owner: Account) -> None:
    admin = account(api, other_tenant, "admin")
    assert [one["target"] for one in admin.caller().get("audit/")["results"]] == [admin.email]
    assert tenant.admin_key.get("audit/")["count"] == 2
    tenant.member_key.get("audit/", status=403)


def test_half_a_surrogate_pair_is_no_name(api: Api, tenant: Tenant) -> None:
    body = {"email": "new@example.com", "role": "member", "name": "\ud800"}
    answer = account(api, tenant, "owner").caller().post("team/", body, status=400)
    assert "surrogate" in answer["name"][0]
