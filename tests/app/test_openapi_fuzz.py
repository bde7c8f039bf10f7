"""Requests made from the OpenAPI document, valid and not: no fault of ours, and only the answers it promises.

More of them, against a running service: docs/security.md.
"""

from __future__ import annotations

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

LOOKED_AT = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
bounded = settings(
    max_examples=15, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_no_request_breaks_the_service_or_the_document(client: TestClient, subtests: pytest.Subtests, mode):
    described = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 4
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not (operation.body or list(operation.iter_parameters())):
            continue  # nothing in it could be wrong

        @bounded
        @given(case=operation.as_strategy(generation_mode=mode))
        def answered(case: schemathesis.Case) -> None:
            case.validate_response(case.call(), checks=LOOKED_AT)

        with subtests.test(operation=operation.label):
            answered()
