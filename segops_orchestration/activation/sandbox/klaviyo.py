"""A Klaviyo account: profiles, one list or more, import jobs.

Strict where the contract is known, lenient where it is not: removing a profile that is not in the list is 204.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from segops_orchestration.activation.http import encode
from segops_orchestration.activation.limiter import Rate
from segops_orchestration.activation.sandbox.klaviyo_account import Account, Job
from segops_orchestration.activation.sandbox.sandbox import Refusal, Request, Response, Sandbox, Window

REVISION = "2026-10-15"
MEDIA_TYPE = "application/vnd.api+json"
MOST_PROFILES_IMPORTED = 10_000
MOST_IMPORT_BYTES = 5_000_000
MOST_PROFILE_BYTES = 100_000
MOST_PROFILES_OF_LIST_CALL = 1_000
MOST_IDS_IN_FILTER = 100
SLOW_CALL = (Rate(10, 1), Rate(150, 60))
FAST_CALL = (Rate(75, 1), Rate(750, 60))

_SHORT = 1_000

_JOB = r"/api/profile-bulk-import-jobs/([^/]+)"
_LIST = r"/api/lists/([^/]+)"
# call -> method, path, limits, scopes
_CALLS: Mapping[str, tuple[str, str, Sequence[Rate], Sequence[str]]] = {
    "bulk import": ("POST", "/api/profile-bulk-import-jobs", SLOW_CALL, ("lists:write", "profiles:write")),
    "job": ("GET", _JOB, SLOW_CALL, ("lists:read", "profiles:read")),
    "import errors": ("GET", _JOB + "/import-errors", SLOW_CALL, ("profiles:read",)),
    "job profiles": ("GET", _JOB + "/profiles", SLOW_CALL, ("profiles:read",)),
    "profiles": ("GET", "/api/profiles", FAST_CALL, ("profiles:read",)),
    "add to list": ("POST", _LIST + "/relationships/profiles", SLOW_CALL, ("lists:write", "profiles:write")),
    "remove from list": ("DELETE", _LIST + "/relationships/profiles", SLOW_CALL, ("lists:write", "profiles:write")),
    "list profiles": ("GET", _LIST + "/profiles", FAST_CALL, ("lists:read", "profiles:read")),
    "list": ("GET", _LIST, FAST_CALL, ("lists:read",)),
}
_ALL_SCOPES = frozenset(scope for *_, scopes in _CALLS.values() for scope in scopes)
_PAGED = {"page[size]", "page[cursor]", "fields[profile]"}
_PARAMETERS: Mapping[str, set[str]] = {
    "import errors": {"page[size]", "page[cursor]", "fields[import-error]"},
    "job profiles": _PAGED,
    "profiles": {*_PAGED, "filter", "sort"},
    "list profiles": {*_PAGED, "filter", "sort"},
}
_FILTER = re.compile(r"(any|equals)\((external_id|email|phone_number|id),(.*)\)", re.DOTALL)


class KlaviyoSandbox(Sandbox):
    """See the module. ``job_seconds`` is how long an import takes."""

    type = "klaviyo"
    own_kinds: ClassVar[Mapping[str, str]] = {
        "reject_rows": "rows of an import fail: of `users`, else a `share` of them (0.1); with `reason`",
        "refuse_rows": "400 that points to the rows of `users`",
        "refuse_batch": "400 that points to nothing",
        "job_late": "an import ends `seconds` later (60)",
        "job_partly": "an import is cancelled after a `share` of its rows (0.5)",
        "job_never": "an import stays at processing",
        "job_unnamed": "the errors of an import do not say which row they are about; for the calls that read them",
        "list_deleted": "404 for the list, until it is called off",
        "revision_retired": "400 for every call, until it is called off",
        "scope_missing": "403 for calls that need `scope`, until it is called off",
        "stale_profiles": "404 that points to those of `profiles`, when they are to be removed",
    }
    secrets: Mapping[str, str] = {"api_key": "pk_sandbox"}

    def __init__(
        self, *, list_id: str = "SANDBX", api_key: str = "pk_sandbox", job_seconds: float = 0.2, **options: Any
    ):
        super().__init__(**options)
        self.list_id = list_id
        self.api_key = api_key
        self.job_seconds = job_seconds
        self.account = Account(self.clock, [list_id])
        self.config = {"list_id": list_id}

    def members(self) -> set[str]:
        self.account.settle()
        return self.account.external_ids(self.list_id)

    def state(self) -> dict[str, Any]:
        self.account.settle()
        jobs = [job.status for job in self.account.jobs.values()]
        return {
            "profiles": len(self.account.profiles),
            "lists": {name: len(profiles) for name, profiles in self.account.lists.items()},
            "jobs": {status: jobs.count(status) for status in sorted(set(jobs))},
        }

    def call_name(self, request: Request) -> str:
        for name, (method, path, _, _) in _CALLS.items():
            if request.method == method and re.fullmatch(path, request.path):
                return name
        return "unknown call"

    def limits(self, call: str) -> Sequence[Rate]:
        return _CALLS[call][2] if call in _CALLS else ()

    def too_many(self, wait: float | None, window: Window | None) -> Response:
        headers = {} if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
        response = _error(429, "throttled", "Request was throttled.", "The rate limit was reached")
        return Response(429, response.body, headers)

    def failure(self, status: int, message: str) -> Response:
        code = "not_authenticated" if status == 401 else "error"
        return _error(status, code, "Failure", message)

    def handle(self, request: Request) -> Response:
        self.account.settle()
        call = self.call_name(request)
        self._check_head(request, call)
        if call == "unknown call":
            raise _breach(404, "not_found", "there is no such call")
        self._check_scopes(request, call)
        self._check_parameters(request, call)
        answers: Mapping[str, Callable[[Request], Response]] = {
            "bulk import": self._import,
            "job": self._job,
            "import errors": self._import_errors,
            "job profiles": self._job_profiles,
            "profiles": self._profiles,
            "add to list": self._change_list,
            "remove from list": self._change_list,
            "list profiles": self._list_profiles,
            "list": lambda request: Response(200, {"data": {"type": "list", "id": self._list(request)}}),
        }
        return answers[call](request)

    # What every call must have.

    def _check_head(self, request: Request, call: str) -> None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Klaviyo-API-Key":
            raise _breach(401, "not_authenticated", "Authorization is not of the form Klaviyo-API-Key <key>")
        if key != self.api_key:
            raise Refusal(
                _error(401, "not_authenticated", "Authentication failed.", "Incorrect authentication credentials.")
            )
        if self.told("revision_retired", request):
            raise Refusal(_error(400, "invalid", "Invalid input.", "This API revision is no longer served."))
        if request.headers.get("revision") != REVISION:
            raise _breach(400, "invalid", f"revision {request.headers.get('revision')!r} is not {REVISION}")
        if request.headers.get("accept") != MEDIA_TYPE:
            raise _breach(406, "not_acceptable", f"Accept is not {MEDIA_TYPE}")
        if request.body and request.headers.get("content-type") != MEDIA_TYPE:
            raise _breach(415, "unsupported_media_type", f"Content-Type is not {MEDIA_TYPE}")
        if request.method == "GET" and request.body:
            raise _breach(400, "invalid", "GET with a body")

    def _check_scopes(self, request: Request, call: str) -> None:
        for missing in self.matching("scope_missing", request):
            scope = missing.option("scope", "lists:write")
            if scope not in _CALLS[call][3]:
                continue
            self.use_up(missing)
            raise Refusal(_error(403, "permission_denied", "Permission denied.", f"The key lacks the scope {scope}"))

    def _check_parameters(self, request: Request, call: str) -> None:
        unknown = set(request.query) - _PARAMETERS.get(call, set())
        if unknown:
            raise _breach(400, "invalid", f"unknown parameters {', '.join(sorted(unknown))}")
        size = request.query.get("page[size]", ["20"])[0]
        if not size.isdigit() or not 1 <= int(size) <= 100:
            raise _breach(400, "invalid", f"page[size] {size} is not 1 to 100")

    # Lists.

    def _list(self, request: Request) -> str:
        name = request.path.split("/")[3]
        if name not in self.account.lists or self.told("list_deleted", request):
            raise Refusal(_error(404, "not_found", "Not found.", f"A list with id {name} does not exist."))
        return name

    def _change_list(self, request: Request) -> Response:
        name = self._list(request)
        data = _only(_document(request), "", {"data"})["data"]
        if not isinstance(data, list) or len(data) > MOST_PROFILES_OF_LIST_CALL:
            raise _breach(400, "invalid", f"data is not a list of at most {MOST_PROFILES_OF_LIST_CALL} profiles")
        if not data:
            raise Refusal(_error(400, "invalid", "Invalid input.", "data must not be empty", "/data"))
        for at, item in enumerate(data):
            if set(item) != {"type", "id"} or item["type"] != "profile" or not isinstance(item["id"], str):
                raise _breach(400, "invalid", f"/data/{at} is not a profile's type and id")
        profiles = [item["id"] for item in data]
        self._check_stale(request, profiles)
        if request.method == "POST":
            self.account.lists[name].update(profile for profile in profiles if profile in self.account.profiles)
        else:
            self.account.lists[name].difference_update(profiles)
        return Response(204)

    def _check_stale(self, request: Request, profiles: Sequence[str]) -> None:
        told = self.told("stale_profiles", request)
        stale = set(told.option("profiles", ())) if told else set()
        errors = [
            _one_error(404, "not_found", "Not found.", "There is no such profile.", f"/data/{at}/id")
            for at, profile in enumerate(profiles)
            if profile in stale
        ]
        if errors:
            raise Refusal(Response(404, {"errors": errors}, {"Content-Type": MEDIA_TYPE}))

    def _list_profiles(self, request: Request) -> Response:
        return self._page(request, sorted(self.account.lists[self._list(request)]), self.account.profile_document)

    # Profiles.

    def _profiles(self, request: Request) -> Response:
        asked = request.query.get("filter")
        if not asked:
            return self._page(request, sorted(self.account.profiles), self.account.profile_document)
        found = _FILTER.fullmatch(asked[0])
        try:
            values = json.loads(found.group(3)) if found else None
        except ValueError:
            values = None
        if found is None or isinstance(values, list) != (found.group(1) == "any") or not values:
            raise _breach(400, "invalid", f"filter {asked[0][:200]!r} is not understood")
        values = values if isinstance(values, list) else [values]
        if len(values) > MOST_IDS_IN_FILTER:
            raise _breach(400, "invalid", f"filter with {len(values)} values, the most is {MOST_IDS_IN_FILTER}")
        return self._page(request, self.account.find(found.group(2), values), self.account.profile_document)

    # Imports.

    def _import(self, request: Request) -> Response:
        if len(request.body) > MOST_IMPORT_BYTES:
            raise _breach(413, "payload_too_large", f"{len(request.body)} bytes, the most is {MOST_IMPORT_BYTES}")
        data = _only(_document(request), "", {"data"})["data"]
        _only(data, "/data", {"type", "attributes", "relationships"}, {"type": "profile-bulk-import-job"})
        profiles = _only(_only(data["attributes"], "/data/attributes", {"profiles"})["profiles"], "", {"data"})["data"]
        if not isinstance(profiles, list) or len(profiles) > MOST_PROFILES_IMPORTED:
            raise _breach(400, "invalid", f"profiles is not a list of at most {MOST_PROFILES_IMPORTED}")
        lists = [item["id"] for item in data["relationships"]["lists"]["data"] if item["type"] == "list"]
        for name in lists:
            if name not in self.account.lists or self.told("list_deleted", request):
                raise Refusal(_error(404, "not_found", "Not found.", f"A list with id {name} does not exist."))
        if not profiles:
            raise Refusal(_error(400, "invalid", "Invalid input.", "no profiles", "/data/attributes/profiles/data"))
        rows = [_check_profile(at, profile) for at, profile in enumerate(profiles)]
        self._refuse_rows(request, rows)
        job = self.account.submit(rows, lists, self.job_seconds)
        self._spoil(request, job)
        return Response(202, {"data": job.document()}, {"Content-Type": MEDIA_TYPE})

    def _refuse_rows(self, request: Request, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.told("refuse_batch", request):
            raise Refusal(_error(400, "invalid", "Invalid input.", "The payload provided is invalid."))
        told = self.told("refuse_rows", request)
        users = set(told.option("users", ())) if told else set()
        errors = [
            _one_error(400, "invalid", "Invalid input.", "Not a valid profile.", f"/data/attributes/profiles/data/{at}")
            for at, row in enumerate(rows)
            if row.get("external_id") in users
        ]
        if errors:
            raise Refusal(Response(400, {"errors": errors}, {"Content-Type": MEDIA_TYPE}))

    def _spoil(self, request: Request, job: Job) -> None:
        if told := self.told("reject_rows", request):
            users = told.option("users", None)
            share = float(told.option("share", 0.1))
            for at, row in enumerate(job.rows):
                if row.get("external_id") in users if users is not None else self.random.random() < share:
                    job.spoiled[at] = str(told.option("reason", "The profile could not be imported."))
        if told := self.told("job_late", request):
            job.ends_at += float(told.option("seconds", 60.0))
        if told := self.told("job_partly", request):
            job.stops_after = int(len(job.rows) * float(told.option("share", 0.5)))
        if self.told("job_never", request):
            job.ends_at = math.inf

    def _found_job(self, request: Request) -> Job:
        job = self.account.jobs.get(request.path.split("/")[3])
        if job is None:
            raise Refusal(_error(404, "not_found", "Not found.", "A job with this id does not exist."))
        return job

    def _job(self, request: Request) -> Response:
        return Response(200, {"data": self._found_job(request).document()}, {"Content-Type": MEDIA_TYPE})

    def _import_errors(self, request: Request) -> Response:
        job = self._found_job(request)
        named = self.told("job_unnamed", request) is None
        return self._page(request, sorted(job.errors), lambda at: job.error_document(at, named=named))

    def _job_profiles(self, request: Request) -> Response:
        return self._page(request, sorted(self._found_job(request).imported), self.account.profile_document)

    def _page(self, request: Request, keys: Sequence[Any], document: Callable[[Any], Any]) -> Response:
        size = int(request.query.get("page[size]", ["20"])[0])
        cursor = request.query.get("page[cursor]", ["0"])[0]
        if not cursor.isdigit():
            raise _breach(400, "invalid", f"page[cursor] {cursor!r} was not given out")
        start = int(cursor)
        following = None
        if start + size < len(keys):
            query = {name: values[0] for name, values in request.query.items()} | {"page[cursor]": str(start + size)}
            following = f"https://a.klaviyo.com{request.path}?{urlencode(query)}"
        body = {"data": [document(key) for key in keys[start : start + size]], "links": {"next": following}}
        return Response(200, body, {"Content-Type": MEDIA_TYPE})


def _check_profile(at: int, profile: Any) -> Mapping[str, Any]:
    place = f"/data/attributes/profiles/data/{at}"
    attributes = _only(profile, place, {"type", "attributes"}, {"type": "profile"})["attributes"]
    allowed = {
        "external_id",
        "email",
        "phone_number",
        "properties",
        "first_name",
        "last_name",
        "organization",
        "locale",
    }
    if not isinstance(attributes, dict) or not set(attributes) <= allowed:
        raise _breach(400, "invalid", f"{place}/attributes has what no profile has")
    if not any(attributes.get(name) for name in ("external_id", "email", "phone_number")):
        raise _breach(400, "invalid", f"{place} has no identifier")
    # Most have three short texts: what they come to need not be written out.
    if not all(isinstance(value, str) and len(value) < _SHORT for value in attributes.values()):
        size = len(encode(profile))
        if size > MOST_PROFILE_BYTES:
            raise _breach(400, "invalid", f"{place} has {size} bytes, the most is {MOST_PROFILE_BYTES}")
    found: Mapping[str, Any] = attributes
    return found


def _document(request: Request) -> Any:
    try:
        return request.json()
    except ValueError:
        raise _breach(400, "invalid", "the body is not JSON") from None


def _only(document: Any, place: str, names: set[str], fixed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The object, when it has these names and no others."""
    if not isinstance(document, dict) or set(document) != names:
        raise _breach(400, "invalid", f"{place or '/'} is not an object of {', '.join(sorted(names))}")
    for name, value in (fixed or {}).items():
        if document[name] != value:
            raise _breach(400, "invalid", f"{place}/{name} is not {value}")
    return document


def _breach(status: int, code: str, what: str) -> Refusal:
    return Refusal(_error(status, code, "Invalid input.", what), what)


def _error(status: int, code: str, title: str, detail: str, pointer: str | None = None) -> Response:
    return Response(
        status, {"errors": [_one_error(status, code, title, detail, pointer)]}, {"Content-Type": MEDIA_TYPE}
    )


def _one_error(status: int, code: str, title: str, detail: str, pointer: str | None = None) -> dict[str, Any]:
    source = {"pointer": pointer} if pointer else {}
    return {"id": "e1", "status": status, "code": code, "title": title, "detail": detail, "source": source}
