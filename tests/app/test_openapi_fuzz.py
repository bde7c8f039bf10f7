"""Requests made from the OpenAPI document, valid and not: no fault of ours, and only the answers it promises.

More of them, against a running service: docs/security.md.
"""

from __future__ import annotations

import time

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from schemathesis import GenerationMode, checks

from app.main import create_app
from app.settings import Settings

LOOKED_AT = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
bounded = bounds(
    max_examples=15, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def described(settings: Settings) -> schemathesis.BaseSchema:
    """The document of a service of its own, whose models are warm; schemathesis runs its lifespan."""
    app = create_app(settings)
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    deadline = time.monotonic() + 120
    while not app.state.inspector.ready:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return document


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_no_request_breaks_the_service_or_the_document(described, subtests: pytest.Subtests, mode):
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
