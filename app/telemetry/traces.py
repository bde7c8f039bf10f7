"""Request spans, made by FastAPI and sent to an OpenTelemetry collector; needs the extra `otel`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi.telemetry import TelemetryConfig

from lfi.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_LEFT_OUT = ("/healthz", "/readyz", "/metrics")
_SAID_BY_THE_ROUTE = ("url.path", "url.query")
"""They can hold invitations, participants' ids and words; the span's `http.route` holds none."""


def tracer_provider(endpoint: str) -> TracerProvider:
    """Makes and sends spans; its `shutdown` sends the last ones.

    Args:
        endpoint: of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`.

    Raises:
        ConfigError: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(
            f"LFI_OTLP_ENDPOINT is {endpoint!r}, but OpenTelemetry is not installed: pip install '.[otel]'"
        ) from error

    class Discreet(SpanProcessor):
        def on_start(self, span: Span, parent_context: object = None) -> None:
            for name in _SAID_BY_THE_ROUTE:
                if name in (span.attributes or {}):
                    span.set_attribute(name, "left out")

    about = {"service.name": "lfi", "service.version": version("learning-from-interactions")}
    provider = TracerProvider(resource=Resource.create(about))
    provider.add_span_processor(Discreet())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


def telemetry_config(provider: TracerProvider | None) -> TelemetryConfig:
    """What FastAPI is told about it: spans of requests to this provider, and neither its metrics nor its logs."""
    return {
        "tracing": provider is not None,
        "tracer_provider": provider,
        "metrics": False,
        "logs": False,
        "exclude": _is_left_out,
    }


def _is_left_out(scope: Mapping[str, Any]) -> bool:
    return scope.get("path", "").endswith(_LEFT_OUT)
