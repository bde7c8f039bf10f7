"""Requests made from the OpenAPI document, valid and not: no fault of ours, and only the answers it promises.

More of them, against a running service: docs/security.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from running import running
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
def described(settings: Settings) -> Iterator[schemathesis.BaseSchema]:
    """The document of a service of its own behind a real server, its models warm."""
    with running(create_app(settings)) as address:
        yield schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_no_request_breaks_the_service_or_the_document(described, subtests: pytest.Subtests, mode):
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 4
    for operation in operations:
        free = {parameter.location.value for parameter in operation.iter_parameters()} <= {"path"}
        if mode is GenerationMode.NEGATIVE and free and not operation.body:
            continue  # nothing in it could be wrong: any text is a path

        @bounded
        @given(case=operation.as_strategy(generation_mode=mode))
        def answered(case: schemathesis.Case) -> None:
            case.validate_response(case.call(), checks=LOOKED_AT)

        with subtests.test(operation=operation.label):
            answered()
