"""Log lines, as JSON for machines or as text for people. All of them, those of libraries too, go one way.

Code logs with the standard library: `log.info("request", extra={"status": 200})`. Here the fields of `extra` and those
bound to the request (its id, the name of its key) are written out. Tracebacks hold no local variables: those could be a
visitor's picture or words.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import orjson
import structlog
from structlog.stdlib import ProcessorFormatter


def configure_logs(level: str, format: str) -> None:
    """Send every log line of this process to standard error.

    Args:
        level: the least that is logged by us and by uvicorn; other libraries log warnings.
        format: `json` or `text`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(format, colours=sys.stderr.isatty()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in ("lfi", "uvicorn"):
        logging.getLogger(name).setLevel(level.upper())


def formatter(format: str, colours: bool = False) -> logging.Formatter:
    """What turns a record into a line (JSON) or a few (text with a traceback)."""
    known: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _said_once,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any]
    if format == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
    else:
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain, pad_event_to=0)]
    return ProcessorFormatter(foreign_pre_chain=known, processors=[ProcessorFormatter.remove_processors_meta, *last])


def _json(event: dict[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=str).decode()


def _said_once(logger: object, method: str, event: Any) -> Any:
    """Without what repeats the event: uvicorn's in colours, and what another handler's formatter left behind."""
    for name in ("color_message", "message"):
        event.pop(name, None)
    return event
