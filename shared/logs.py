"""Structured logging: constant event names plus fields, on standard error.

Invariant: a log message is constant text; what varies is in fields. No event body, user name or user id
is ever a field, and a traceback shows no variables: among them may be any of these, or a password.
"""

import logging
import sys
from typing import Any, Final

import structlog

from shared.settings import LogSettings

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

Logger = structlog.typing.FilteringBoundLogger


def configure(settings: LogSettings, **fields: Any) -> Logger:
    """Set up logging for this process and return its logger, bound to `fields`. Call once, in `__main__`."""
    renderer: Any
    if settings.format == "json":
        renderer = structlog.processors.JSONRenderer()
        timestamper = structlog.processors.TimeStamper(fmt="iso")
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=28,
            exception_formatter=structlog.dev.plain_traceback,  # the default one shows the values of variables
        )
        timestamper = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        timestamper,
        structlog.processors.format_exc_info if settings.format == "json" else _keep,
    ]
    level = _LEVELS[settings.level]
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries (aiohttp, nats, alembic) log through the standard library: the same lines, the same place.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *processors],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    log: Logger = structlog.get_logger()
    return log.bind(**fields)


def _keep(_logger: Any, _name: str, entry: Any) -> Any:
    """The console renderer formats exceptions itself."""
    return entry
