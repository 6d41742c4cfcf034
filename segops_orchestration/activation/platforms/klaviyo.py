"""Klaviyo: the members of a list.

Entering is a bulk import job with the list as its relationship, followed until it ends; leaving removes Klaviyo's own
profile ids from the list. Being in a list is not consent: subscriptions are never touched.

Limits and shapes: klaviyo-api 25.0.0, API revision 2026-10-15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit

from segops_orchestration.activation.checks import date_text, http_address, plain_id, yes_or_no
from segops_orchestration.activation.http import PlatformHttp, Reply, encode
from segops_orchestration.activation.limiter import Limiter, Rate
from segops_orchestration.activation.platform import (
    Action,
    Answer,
    BatchRefused,
    ConfigField,
    Connection,
    Finding,
    Platform,
    PlatformRefused,
    PlatformUnavailable,
    User,
)
from segops_orchestration.activation.platforms.klaviyo_words import (
    blamed_positions,
    email_of,
    external_id,
    import_error,
    phone_of,
    said,
)

REVISION = "2026-10-15"
MOST_PROFILES_IMPORTED = 10_000
MOST_IMPORT_BYTES = 5_000_000
MOST_PROFILE_BYTES = 100_000
MOST_PROFILES_REMOVED = 1_000
PAGE = 100
# Two windows, both hold; of each call by itself, for the whole account.
SLOW_CALL = (Rate(10, 1), Rate(150, 60))
FAST_CALL = (Rate(75, 1), Rate(750, 60))
RATES: Mapping[str, Sequence[Rate]] = {
    "import": SLOW_CALL,
    "job": SLOW_CALL,
    "job errors": SLOW_CALL,
    "job profiles": SLOW_CALL,
    "removal": SLOW_CALL,
    "profiles": FAST_CALL,
    "list": FAST_CALL,
    "list profiles": FAST_CALL,
}
SCOPES = ("lists:read", "lists:write", "profiles:read", "profiles:write")
# Ours: the profile ids of a larger import are not read. That would cost more requests than the import, at a slow call;
# whoever leaves is looked up then.
MOST_IDS_READ = 1_000
# Ours: an address of a lookup stays below what proxies and servers take.
MOST_FILTER_BYTES = 6_000

_MEDIA_TYPE = "application/vnd.api+json"
_RUNNING = ("queued", "processing")


class Klaviyo(Platform):
    """One list of one account."""

    type = "klaviyo"
    title = "Klaviyo list"
    fields: ClassVar[Sequence[ConfigField]] = (
        ConfigField("api_key", f"private API key with the scopes {' '.join(SCOPES)}", secret=True),
        ConfigField("list_id", "the list: the last part of its address, such as Y6nRLr", target=True, check=plain_id),
        ConfigField(
            "contact_details",
            "send email and phone_number of the users' properties; false where users share addresses, for Klaviyo gives"
            " all of them one profile",
            required=False,
            default=True,
            check=yes_or_no,
        ),
        ConfigField("revision", "API revision, a date", required=False, default=REVISION, check=date_text),
        ConfigField(
            "base_url", "address of the API", required=False, default="https://a.klaviyo.com", check=http_address
        ),
    )
    reads_properties = True
    reads_back = True
    # An import whose answer was lost may be a job that nobody knows of, and jobs can stand in a queue.
    settle_seconds = 900.0

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        key = connection.secrets["api_key"]
        self._list = str(connection.config["list_id"])
        self._contact_details = bool(connection.config["contact_details"])
        base_url = str(connection.config["base_url"])
        self.http = PlatformHttp(
            "Klaviyo",
            base_url,
            {
                "Authorization": f"Klaviyo-API-Key {key}",
                "revision": str(connection.config["revision"]),
                "Accept": _MEDIA_TYPE,
                "Content-Type": _MEDIA_TYPE,
            },
            secrets=[key],
            before_request=connection.before_request,
            patience_seconds=connection.patience_seconds,
            words=lambda reply: said(reply.json()) or reply.body.decode("utf-8", "replace"),
            connections=self.in_flight(),
        )
        account = connection.account(base_url, key)
        self._limiters: dict[str, Limiter] = {
            call: connection.limiter(f"klaviyo {call} {account}", rates) for call, rates in RATES.items()
        }

    def batch_size(self, action: Action) -> int:
        return MOST_PROFILES_IMPORTED if action == "add" else MOST_PROFILES_REMOVED

    def in_flight(self) -> int:
        return 4

    def lacks(self, user: User) -> str | None:
        if len(user.user_id) < MOST_PROFILE_BYTES // 10:
            return None
        size = len(encode(self._profile(user)))
        if size > MOST_PROFILE_BYTES:
            return f"its profile has {size:,} bytes; Klaviyo takes {MOST_PROFILE_BYTES:,}"
        return None

    def add(self, users: Sequence[User], batch_id: str) -> Answer:
        jobs: list[str] = []
        rejected: dict[str, str] = {}
        for part, body in self._imports(users):
            try:
                jobs.append(self._import(part, body))
            except BatchRefused as refused:
                if not jobs and len(part) == len(users):
                    raise
                # Another part of the batch may be under way, so the batch is not refused as a whole. Of this part
                # nobody was taken; those whom it does not blame are tried again like the others.
                rejected |= {user.user_id: refused.users.get(user.user_id, str(refused)) for user in part}
            except (PlatformUnavailable, PlatformRefused) as error:
                if not jobs:
                    raise
                # An earlier part is under way, and its job will not be followed.
                raise PlatformUnavailable(str(error)) from error
        return Answer(rejected=rejected, job=",".join(jobs) or None)

    def follow(self, job: str, users: Sequence[User]) -> Answer | None:
        try:
            return self._outcome(job, users)
        except BatchRefused as error:
            # A question about a job has no users in it to blame.
            raise PlatformRefused(str(error)) from None

    def _outcome(self, job: str, users: Sequence[User]) -> Answer | None:
        waiting = {user.user_id for user in users}
        jobs = {one: self._job(one) for one in job.split(",")}
        if any(attributes.get("status") in _RUNNING for attributes in jobs.values()):
            return None
        if any(attributes.get("status") != "complete" for attributes in jobs.values()):
            # Cancelled, or forgotten. What it did before that is not told; importing again does no harm.
            return Answer(unknown=waiting)
        failed = {one: self._failed(one) if attributes.get("failed_count") else {} for one, attributes in jobs.items()}
        rejected = {user: why for rows in failed.values() for user, why in rows.items() if user in waiting}
        unaccounted = any(_unaccounted(attributes, len(failed[one])) for one, attributes in jobs.items())
        if not unaccounted and len(users) > MOST_IDS_READ:
            return Answer(rejected=rejected)
        profiles = {user: profile for one in jobs for user, profile in self._imported(one).items() if user in waiting}
        unknown = waiting - profiles.keys() - rejected.keys() if unaccounted else set()
        return Answer(rejected=rejected, unknown=unknown, platform_ids=profiles)

    def remove(self, users: Sequence[User], batch_id: str) -> Answer:
        known = {user.user_id: user.platform_id for user in users if user.platform_id}
        sought = [user.user_id for user in users if not user.platform_id]
        profiles = {**known, **self._look_up(sought)}
        reply = self._remove(profiles.values())
        if reply.status in (400, 404) and known and blamed_positions(reply.json()):
            # A profile merged or deleted since: its place is another's now, or nobody's.
            profiles = self._look_up([user.user_id for user in users])
            reply = self._remove(profiles.values())
        if reply.status >= 300:
            raise self._refusal("DELETE", self._members_path, reply, list(profiles))
        return Answer(platform_ids=profiles)

    def read_back(self, users: Iterator[User]) -> Iterator[str]:
        for profile in self._pages(f"/api/lists/{self._list}/profiles", "list profiles", _ONLY_EXTERNAL_ID):
            found = external_id(profile)
            # Without one it is nobody of ours: somebody put the profile there by hand.
            if found:
                yield found

    def test(self) -> list[Finding]:
        findings: list[Finding] = []
        for name, method, path, params, body in self._harmless_calls():
            call = "removal" if method == "DELETE" else "import" if method == "POST" else "list"
            limiter = self._limiters["profiles" if name == "scope profiles:read" else call]
            reply = self.http.send(method, path, params=params, body=body, limiter=limiter)
            findings.append(self._finding(name, reply))
            if reply.status in (401, 404):
                break
        return findings

    @property
    def _members_path(self) -> str:
        return f"/api/lists/{self._list}/relationships/profiles"

    def _profile(self, user: User) -> dict[str, Any]:
        attributes = {"external_id": user.user_id}
        if self._contact_details:
            found = {"email": email_of(user.properties), "phone_number": phone_of(user.properties)}
            attributes |= {name: value for name, value in found.items() if value}
        return {"type": "profile", "attributes": attributes}

    def _imports(self, users: Sequence[User]) -> Iterator[tuple[list[User], bytes]]:
        """The batch as bodies of requests within Klaviyo's bytes: one, unless ids or addresses are very long."""
        part: list[User] = []
        profiles: list[bytes] = []
        head, tail = self._import_frame()
        size = len(head) + len(tail)
        for user in users:
            profile = encode(self._profile(user))
            if part and size + len(profile) + 1 > MOST_IMPORT_BYTES:
                yield part, head + b",".join(profiles) + tail
                part, profiles, size = [], [], len(head) + len(tail)
            part.append(user)
            profiles.append(profile)
            size += len(profile) + 1
        if part:
            yield part, head + b",".join(profiles) + tail

    def _import_frame(self) -> tuple[bytes, bytes]:
        """What stands before and after the profiles."""
        document = {
            "data": {
                "type": "profile-bulk-import-job",
                "attributes": {"profiles": {"data": []}},
                "relationships": {"lists": {"data": [{"type": "list", "id": self._list}]}},
            }
        }
        head, _, tail = encode(document).partition(b"[]")
        return head + b"[", b"]" + tail

    def _import(self, users: Sequence[User], body: bytes) -> str:
        path = "/api/profile-bulk-import-jobs"
        reply = self.http.send("POST", path, body=body, limiter=self._limiters["import"])
        if reply.status >= 300:
            raise self._refusal("POST", path, reply, [user.user_id for user in users])
        job = (reply.json() or {}).get("data", {}).get("id")
        if not job:
            raise PlatformUnavailable("Klaviyo took an import and did not name the job")
        return str(job)

    def _job(self, job: str) -> Mapping[str, Any]:
        """The job's attributes; none when Klaviyo has forgotten it."""
        path = f"/api/profile-bulk-import-jobs/{quote(job)}"
        reply = self.http.send("GET", path, limiter=self._limiters["job"])
        if reply.status == 404:
            return {}
        if reply.status >= 300:
            raise self.http.refusal("GET", path, reply)
        attributes: Mapping[str, Any] = (reply.json() or {}).get("data", {}).get("attributes", {})
        return attributes

    def _failed(self, job: str) -> dict[str, str]:
        """User id -> reason, of the rows that could not be imported and name their user."""
        path = f"/api/profile-bulk-import-jobs/{quote(job)}/import-errors"
        errors = (import_error(row) for row in self._pages(path, "job errors"))
        return {user: self.http.mask(reason) for user, reason in errors if user}

    def _imported(self, job: str) -> dict[str, str]:
        """User id -> profile id, of the rows that were imported."""
        path = f"/api/profile-bulk-import-jobs/{quote(job)}/profiles"
        profiles = self._pages(path, "job profiles", _ONLY_EXTERNAL_ID)
        return {external_id(profile): str(profile["id"]) for profile in profiles}

    def _look_up(self, users: Sequence[str]) -> dict[str, str]:
        """User id -> profile id, of those who have a profile."""
        found: dict[str, str] = {}
        for asked in _lookups(users):
            params = {"filter": asked, **_ONLY_EXTERNAL_ID}
            for profile in self._pages("/api/profiles", "profiles", params):
                found[external_id(profile)] = str(profile["id"])
        wanted = set(users)
        return {user: profile for user, profile in found.items() if user in wanted}

    def _remove(self, profiles: Any) -> Reply:
        data = [{"type": "profile", "id": profile} for profile in profiles]
        if not data:
            return Reply(204, {}, b"")
        return self.http.send("DELETE", self._members_path, body={"data": data}, limiter=self._limiters["removal"])

    def _pages(self, path: str, call: str, params: Mapping[str, str] | None = None) -> Iterator[Mapping[str, Any]]:
        asked = {**(params or {}), "page[size]": str(PAGE)}
        while True:
            reply = self.http.send("GET", path, params=asked, limiter=self._limiters[call])
            if reply.status >= 300:
                raise self._refusal("GET", path, reply, ())
            document = reply.json() or {}
            yield from document.get("data", ())
            following = (document.get("links") or {}).get("next")
            cursor = parse_qs(urlsplit(following).query).get("page[cursor]") if following else None
            if not cursor:
                return
            asked["page[cursor]"] = cursor[0]

    def _refusal(self, method: str, path: str, reply: Reply, users: Sequence[str]) -> PlatformRefused | BatchRefused:
        error = self.http.refusal(method, path, reply)
        if not isinstance(error, BatchRefused):
            return error
        blamed = blamed_positions(reply.json())
        if not blamed:
            # Not about anybody: a revision that is no longer served is refused like this whatever is sent.
            list_path = f"/api/lists/{self._list}"
            looked = self.http.send("GET", list_path, limiter=self._limiters["list"])
            if looked.status >= 300:
                return PlatformRefused(str(self.http.refusal("GET", list_path, looked)), looked.status)
        return BatchRefused(
            str(error), {users[at]: self.http.mask(why) for at, why in blamed.items() if at < len(users)}
        )

    def _harmless_calls(self) -> Iterator[tuple[str, str, str, Mapping[str, str] | None, Any]]:
        """Calls that change nothing and that the key must be allowed: the writing ones are about nobody."""
        yield "list", "GET", f"/api/lists/{self._list}", None, None
        nobody = {"filter": 'any(external_id,["segops-connection-test"])', **_ONLY_EXTERNAL_ID}
        yield "scope profiles:read", "GET", "/api/profiles", nobody, None
        head, tail = self._import_frame()
        yield "scope profiles:write", "POST", "/api/profile-bulk-import-jobs", None, head + tail
        yield "scope lists:write", "DELETE", self._members_path, None, {"data": []}

    def _finding(self, name: str, reply: Reply) -> Finding:
        words = self.http.mask(said(reply.json()))
        if reply.status == 401:
            return Finding("key", False, f"Klaviyo does not know the API key: {words}")
        if reply.status == 403:
            scope = name.removeprefix("scope ") if name.startswith("scope") else "lists:read"
            return Finding(name, False, f"the API key lacks the scope {scope}: {words}")
        if reply.status == 404:
            return Finding("list", False, f"there is no list {self._list} in this account: {words}")
        # Klaviyo looks at the key's scopes first: a writing call about nobody that is refused for that is allowed.
        if reply.status < 300 or (reply.status == 400 and name.startswith("scope")):
            return Finding(name, True)
        return Finding(name, False, str(self.http.refusal("test", name, reply)))


_ONLY_EXTERNAL_ID = {"fields[profile]": "external_id"}


def _unaccounted(job: Mapping[str, Any], named: int) -> bool:
    """Whether rows failed that nobody is named for."""
    total, completed, failed = (int(job.get(name) or 0) for name in ("total_count", "completed_count", "failed_count"))
    return failed > named or completed + failed < total


def _lookups(users: Sequence[str]) -> Iterator[str]:
    """Filters that each ask for as many users as an answer's page and an address can hold."""
    ids: list[str] = []
    size = 0
    for user in users:
        quoted = encode(user).decode("utf-8", "surrogatepass")
        length = len(quote(quoted)) + 3
        if ids and (len(ids) == PAGE or size + length > MOST_FILTER_BYTES):
            yield f"any(external_id,[{','.join(ids)}])"
            ids, size = [], 0
        ids.append(quoted)
        size += length
    if ids:
        yield f"any(external_id,[{','.join(ids)}])"
