"""Whatever is sent, no answer is a 500 and none is outside the published OpenAPI document.

Every operation is called with generated parameters and bodies, by callers of every role and by a stranger. A usual run
sends a few calls of each kind, ``pytest -m slow -n 0 -k thousands`` at least SEGOPS_API_CALLS.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from segops_orchestration_tests.api.calling import Api, Tenant
from segops_orchestration_tests.api.people import account

_log = logging.getLogger(__name__)

CALLERS = ("viewer", "member", "admin", "owner", "stranger")
CALLERS_IN_CI = ("member", "owner", "stranger")
CALLS_IN_CI = 1
CALLS = int(os.environ.get("SEGOPS_API_CALLS", "5000"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]


def headers_of(caller: str, tenant: Tenant) -> Mapping[str, str]:
    if caller == "stranger":
        return {"Authorization": "ApiKey sk_nobody"}
    if caller == "owner":
        return account(tenant.api, tenant, "owner", "owner").caller().headers
    return {"viewer": tenant.viewer_key, "member": tenant.member_key, "admin": tenant.admin_key}[caller].headers


def _answers(
    operation: Any, headers: dict[str, str], session: requests.Session, calls: int, *, derandomize: bool
) -> list[int]:
    """Call one operation so often; the statuses of the answers, each of which was within the document."""
    statuses: list[int] = []

    @settings(
        max_examples=calls,
        deadline=None,
        database=None,
        derandomize=derandomize,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        response = case.call(headers=headers, session=session, timeout=60)
        statuses.append(response.status_code)
        case.validate_response(response, checks=CHECKS)

    call()
    return statuses


def send_generated_calls(
    api: Api, tenant: Tenant, callers: Sequence[str], calls_each: int, *, derandomize: bool
) -> Counter[int]:
    """Call every operation as each of the callers so often; the answers by status."""
    schema = schemathesis.openapi.from_url(f"{api.url}/openapi.json")
    statuses: Counter[int] = Counter()
    session = requests.Session()
    headers = {caller: dict(headers_of(caller, tenant)) for caller in callers}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        for caller in callers:
            for response in _answers(operation, headers[caller], session, calls_each, derandomize=derandomize):
                statuses[response] += 1
    return statuses


def test_generated_calls_are_answered_within_the_document(api: Api, tenant: Tenant) -> None:
    statuses = send_generated_calls(api, tenant, CALLERS_IN_CI, CALLS_IN_CI, derandomize=True)
    assert statuses.total() > 0
    assert not [status for status in statuses if status >= 500]


@pytest.mark.slow
def test_thousands_of_generated_calls_are_answered_within_the_document(api: Api, tenant: Tenant) -> None:
    operations = sum(1 for _ in schemathesis.openapi.from_url(f"{api.url}/openapi.json").get_all_operations())
    # Where there is little to vary, fewer calls are made.
    calls_each = -(-CALLS * 5 // (4 * operations * len(CALLERS)))
    statuses = send_generated_calls(api, tenant, CALLERS, calls_each, derandomize=False)
    _log.info("%s calls of %s operations: %s", statuses.total(), operations, dict(sorted(statuses.items())))
    assert statuses.total() >= CALLS
