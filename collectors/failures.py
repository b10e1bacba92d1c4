"""PostgreSQL's failures → the class that decides what happens next. The only place that decides it.

Source: PostgreSQL documentation, appendix "PostgreSQL Error Codes". A code is five characters, its class
the first two; a code listed here comes before its class. Complete: every code that asyncpg knows has a
class here, which a test holds.
"""

import re
from ssl import SSLCertVerificationError
from typing import Final

import asyncpg

from shared.errors import Fatal, FloodgateError, Poison, Pressure, Retryable
from shared.outcomes import DeadLetterReason

_RETRYABLE, _PRESSURE, _FATAL = Retryable, Pressure, Fatal
_DATA, _INTEGRITY = DeadLetterReason.DATA_ERROR, DeadLetterReason.INTEGRITY_ERROR

_BY_CODE: Final[dict[str, type[FloodgateError] | DeadLetterReason]] = {
    "25006": _RETRYABLE,  # read_only_sql_transaction: a standby, during a failover
    "25P02": _RETRYABLE,  # in_failed_sql_transaction: the cause was reported before
    "25P03": _RETRYABLE,  # idle_in_transaction_session_timeout
    "25P04": _RETRYABLE,  # transaction_timeout
    "42P05": _RETRYABLE,  # duplicate_prepared_statement: a pooler in between; a new connection mends it
    "26000": _RETRYABLE,  # invalid_sql_statement_name: the same
    "42846": _DATA,  # cannot_coerce
    "42804": _FATAL,  # datatype_mismatch: the table is not ours
    "53300": _RETRYABLE,  # too_many_connections
    "54000": _DATA,  # program_limit_exceeded: an index row too long, for instance
    "55P03": _RETRYABLE,  # lock_not_available
    "57014": _RETRYABLE,  # query_canceled: the statement timeout
    "57P04": _FATAL,  # database_dropped
}

_BY_CLASS: Final[dict[str, type[FloodgateError] | DeadLetterReason]] = {
    "00": _RETRYABLE, "01": _RETRYABLE, "02": _RETRYABLE,  # success and warnings: never raised by the server
    "03": _RETRYABLE,  # SQL statement not yet complete
    "08": _RETRYABLE,  # connection exception
    "09": _FATAL, "0A": _FATAL, "0B": _FATAL, "0F": _FATAL, "0L": _FATAL, "0P": _FATAL, "0Z": _FATAL,
    "10": _FATAL, "20": _FATAL,
    "21": _DATA,  # cardinality violation
    "22": _DATA,  # data exception
    "23": _INTEGRITY,  # integrity constraint violation (the deduplication key is handled by the store)
    "24": _RETRYABLE, "25": _RETRYABLE,  # cursor and transaction state
    "26": _RETRYABLE,
    "27": _FATAL,
    "28": _FATAL,  # invalid authorization
    "2B": _FATAL,
    "2D": _RETRYABLE,  # invalid transaction termination
    "2F": _FATAL, "34": _RETRYABLE, "38": _FATAL, "39": _FATAL,
    "3B": _RETRYABLE,  # savepoint exception
    "3D": _FATAL,  # invalid catalog name: no such database
    "3F": _FATAL,  # invalid schema name
    "40": _RETRYABLE,  # transaction rollback: serialization failure, deadlock
    "42": _FATAL,  # syntax error or access rule violation: a missing table or column, no privilege
    "44": _INTEGRITY,  # with check option violation
    "53": _PRESSURE,  # insufficient resources: disk full, out of memory
    "54": _DATA,  # program limit exceeded
    "55": _RETRYABLE,  # object not in prerequisite state
    "57": _RETRYABLE,  # operator intervention: shutting down, starting up
    "58": _PRESSURE,  # system error, external to PostgreSQL: I/O
    "72": _RETRYABLE,  # snapshot too old
    "F0": _FATAL,  # configuration file error
    "HV": _FATAL,  # foreign data wrapper
    "P0": _FATAL,  # PL/pgSQL: a trigger that is not ours refuses
    "XX": _PRESSURE,  # internal error: corruption among them; never drain into dead letters for it
}  # fmt: skip

NETWORK_ERRORS: Final = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asyncpg raises beside PostgreSQL's own errors, when a connection breaks or a deadline passes."""

DATABASE_ERRORS: Final = (asyncpg.PostgresError, *NETWORK_ERRORS)
"""All that can come out of a use of the database."""


_CHECK_VIOLATION: Final = "23514"
_OTHER_TABLES: Final = {"42P01", "42703"}
"""undefined_table, undefined_column."""

_QUOTED: Final = re.compile(r"""(["']).*\1""", re.DOTALL)


def without_values(reason: DeadLetterReason, text: str) -> str:
    """What is wrong with a dead letter, in words for a log: what the text quotes may be a value of the event.

    Where a constraint was violated, what is quoted is its name.
    """
    return text if reason is DeadLetterReason.INTEGRITY_ERROR else _QUOTED.sub(r"\1…\1", text)


def classify(error: BaseException) -> FloodgateError:
    """The error as one of our classes, its cause kept in words. Raises TypeError for what is a bug of ours."""
    if isinstance(error, asyncpg.PostgresError):
        code = error.sqlstate or "XX000"
        found = _BY_CODE.get(code) or _BY_CLASS.get(code[:2], Pressure)
        # The message alone: the detail that follows it shows the row, and this text is logged.
        text = f"{type(error).__name__} ({code}): {error.args[0] if error.args else ''}"
        # A row that has no partition has this code too, and breaks no constraint: no event is at fault.
        if code in _OTHER_TABLES or (code == _CHECK_VIOLATION and error.table_name and not error.constraint_name):
            return Fatal(f"{text}: the tables are not those of this release; run `python -m collectors.migrate`")
        return Poison(found, text) if isinstance(found, DeadLetterReason) else found(text)
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return Fatal(f"PostgreSQL can't be asked with these settings: {error}")
    if isinstance(error, SSLCertVerificationError):
        return Fatal(f"PostgreSQL can't be trusted: {error.verify_message}; sslrootcert in DATABASE_URL names who is")
    if isinstance(error, NETWORK_ERRORS):
        return Retryable(f"{type(error).__name__}: {error}")
    raise TypeError(f"not a failure of the database: {error!r}") from error
