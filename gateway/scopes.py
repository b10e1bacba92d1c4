"""What a sender may do. Closed: a scope that is not listed here opens nothing."""

from enum import StrEnum


class Scope(StrEnum):
    """`ingest` posts events, `read` sees what became of them, `admin` changes things (dead letters)."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"
