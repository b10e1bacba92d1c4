"""Every failure that asyncpg can raise has a class, and the classes are those of the documentation."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from collectors import failures
from collectors.failures import DATABASE_ERRORS, classify
from shared.errors import Fatal, FloodgateError, Poison, Pressure, Retryable
from shared.outcomes import DeadLetterReason


def known_errors() -> Iterator[type[asyncpg.PostgresError]]:
    """Every error with a code of its own."""
    for name in dir(asyncpg.exceptions):
        found = getattr(asyncpg.exceptions, name)
        if isinstance(found, type) and issubclass(found, asyncpg.PostgresError) and found.__dict__.get("sqlstate"):
            yield found


KNOWN = sorted(set(known_errors()), key=lambda error: str(error.sqlstate))


def test_asyncpg_knows_its_usual_number_of_codes() -> None:
    assert len(KNOWN) > 200, "or the test below would hold nothing"


@pytest.mark.parametrize("error", KNOWN, ids=lambda error: f"{error.sqlstate}-{error.__name__}")
def test_every_code_has_a_class_that_was_chosen(error: type[asyncpg.PostgresError]) -> None:
    code = str(error.sqlstate)
    assert code in failures._BY_CODE or code[:2] in failures._BY_CLASS, "only the default is left for it"

    assert type(classify(error("said the server"))) in {Retryable, Poison, Pressure, Fatal}


EXCEPTIONS = asyncpg.exceptions
EXPECTED: list[tuple[type[BaseException], type[FloodgateError]]] = [
    # connection lost, server shutting down or starting
    (ConnectionResetError, Retryable),
    (ConnectionRefusedError, Retryable),
    (BrokenPipeError, Retryable),
    (EXCEPTIONS.ConnectionDoesNotExistError, Retryable),
    (EXCEPTIONS.ConnectionFailureError, Retryable),
    (EXCEPTIONS.InterfaceError, Retryable),
    (EXCEPTIONS.AdminShutdownError, Retryable),
    (EXCEPTIONS.CrashShutdownError, Retryable),
    (EXCEPTIONS.CannotConnectNowError, Retryable),
    (EXCEPTIONS.ReadOnlySQLTransactionError, Retryable),
    # serialization, deadlock, too many connections, timeouts
    (EXCEPTIONS.SerializationError, Retryable),
    (EXCEPTIONS.DeadlockDetectedError, Retryable),
    (EXCEPTIONS.TooManyConnectionsError, Retryable),
    (EXCEPTIONS.LockNotAvailableError, Retryable),
    (EXCEPTIONS.QueryCanceledError, Retryable),
    (EXCEPTIONS.TransactionTimeoutError, Retryable),
    (EXCEPTIONS.IdleInTransactionSessionTimeoutError, Retryable),
    (TimeoutError, Retryable),
    (asyncio.TimeoutError, Retryable),
    # data errors, integrity errors
    (EXCEPTIONS.DataError, Poison),
    (EXCEPTIONS.NumericValueOutOfRangeError, Poison),
    (EXCEPTIONS.CharacterNotInRepertoireError, Poison),
    (EXCEPTIONS.UntranslatableCharacterError, Poison),
    (EXCEPTIONS.InvalidTextRepresentationError, Poison),
    (EXCEPTIONS.BadCopyFileFormatError, Poison),
    (EXCEPTIONS.ProgramLimitExceededError, Poison),
    (EXCEPTIONS.IntegrityConstraintViolationError, Poison),
    (EXCEPTIONS.NotNullViolationError, Poison),
    (EXCEPTIONS.CheckViolationError, Poison),
    (EXCEPTIONS.UniqueViolationError, Poison),
    # missing table or column, authentication, bad settings
    (EXCEPTIONS.UndefinedTableError, Fatal),
    (EXCEPTIONS.UndefinedColumnError, Fatal),
    (EXCEPTIONS.DatatypeMismatchError, Fatal),
    (EXCEPTIONS.InvalidCatalogNameError, Fatal),
    (EXCEPTIONS.InsufficientPrivilegeError, Fatal),
    (EXCEPTIONS.InvalidAuthorizationSpecificationError, Fatal),
    (EXCEPTIONS.InvalidPasswordError, Fatal),
    (EXCEPTIONS.ClientConfigurationError, Fatal),
    # disk full, out of memory
    (EXCEPTIONS.DiskFullError, Pressure),
    (EXCEPTIONS.OutOfMemoryError, Pressure),
    (EXCEPTIONS.InsufficientResourcesError, Pressure),
    (EXCEPTIONS.PostgresIOError, Pressure),
    (EXCEPTIONS.DataCorruptedError, Pressure),
]


@pytest.mark.parametrize(("error", "expected"), EXPECTED, ids=[error.__name__ for error, _ in EXPECTED])
def test_a_failure_has_the_class_that_the_documentation_gives_it(
    error: type[BaseException], expected: type[FloodgateError]
) -> None:
    assert issubclass(error, DATABASE_ERRORS), "or nobody would ask"

    assert type(classify(error("it happened"))) is expected


def test_poison_tells_data_from_integrity() -> None:
    data, integrity = classify(EXCEPTIONS.DataError("x")), classify(EXCEPTIONS.CheckViolationError("x"))

    assert isinstance(data, Poison)
    assert isinstance(integrity, Poison)
    assert (data.reason, integrity.reason) == (DeadLetterReason.DATA_ERROR, DeadLetterReason.INTEGRITY_ERROR)


def test_a_failure_never_shows_the_row_that_it_failed_on() -> None:
    fields = {"C": "23514", "M": "violates check constraint", "D": "Failing row contains (Ada Lovelace)."}
    said = str(classify(asyncpg.PostgresError.new(fields)))

    assert said == "integrity_error: CheckViolationError (23514): violates check constraint"


def test_an_unknown_code_waits_for_a_person_and_loses_nothing() -> None:
    assert type(classify(asyncpg.PostgresError.new({"C": "ZZ999", "M": "new in PostgreSQL 30"}))) is Pressure


@pytest.mark.parametrize("bug", [ValueError("x"), KeyError("x"), TypeError("x"), AssertionError("x")])
def test_a_bug_of_ours_is_no_failure_of_the_database(bug: Exception) -> None:
    with pytest.raises(TypeError, match="not a failure of the database"):
        classify(bug)


def test_a_row_without_a_partition_is_no_events_fault() -> None:
    missing, broken = EXCEPTIONS.CheckViolationError("no partition"), EXCEPTIONS.CheckViolationError("violates")
    missing.table_name = broken.table_name = "events"
    broken.constraint_name = "age_is_sane"
    assert isinstance(found := classify(missing), Fatal)
    assert "run `python -m collectors.migrate`" in str(found)
    assert isinstance(classify(broken), Poison)
