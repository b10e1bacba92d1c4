"""Structured logging: constant event names plus fields, on standard error.

Invariant: a log message is constant text; what varies is in fields. No event body, user name or user id
is ever a field, and a traceback shows no variables: among them may be any of these, or a password.
"""

import logging
import sys
from typing import Any, Final

import structlog

from shared.console_lines import ConsoleLines
from shared.repeats import Repeats
from shared.settings import LogSettings

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

Logger = structlog.typing.FilteringBoundLogger


def configure(settings: LogSettings, **fields: Any) -> Logger:
    """Set up logging for this process and return its logger. Call once, in `__main__`.

    `fields` say which program it is; on a console the person has started it, and knows.
    """
    is_json = settings.format == "json"
    colours = settings.no_color is None and (settings.force_color is not None or sys.stderr.isatty())
    renderer: Any = structlog.processors.JSONRenderer() if is_json else ConsoleLines(colours=colours)
    fmt, utc = ("iso", True) if is_json else ("%H:%M:%S", False)
    repeats = Repeats(settings.repeats)
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt=fmt, utc=utc),
        structlog.processors.format_exc_info,  # without the values of variables
    ]
    level = _LEVELS[settings.level]
    structlog.configure(
        processors=[*processors[:2], repeats, *processors[2:], renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries (aiohttp, nats, alembic) log through the standard library: the same lines, the same place.
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(repeats)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *processors],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    log: Logger = structlog.get_logger()
    return log.bind(**fields) if is_json else log
