"""The tables.

Columns stand widest first, then by length, so that rows are tight. Keys compare byte by byte
(`COLLATE "C"`), which is several times faster than by language and does not change with the system's
locale. `json` keeps the text as it was sent, order and all, and costs less than `jsonb` to store. Each
unique key begins with its random part: it decides in one comparison.

Each source has partitions of its own, made by `collectors.migrate` from the registry: smaller indexes,
and a source can be vacuumed, detached or dropped without another. The unique keys hold over the whole
table, as the source is part of them.
"""

from typing import Final

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS: Final = (
    """
    CREATE TABLE events (
        occurred_at     timestamptz NOT NULL,
        received_at     timestamptz NOT NULL,
        source          text COLLATE "C" NOT NULL,
        event_id        text COLLATE "C" NOT NULL,
        funnel_stage    text COLLATE "C" NOT NULL,
        event_type      text COLLATE "C" NOT NULL,
        user_id         text COLLATE "C" NOT NULL,
        correlation_id  text COLLATE "C" NOT NULL,
        data            json NOT NULL,
        extra           json,
        CONSTRAINT events_source_event_id_key UNIQUE (event_id, source)
    ) PARTITION BY LIST (source)
    """,
    "COMMENT ON COLUMN events.data IS 'The data object of the event, as it was sent'",
    "COMMENT ON COLUMN events.extra IS 'Keys beside the known ones that the event was sent with'",
    """
    CREATE TABLE demographics (
        first_seen_at   timestamptz NOT NULL,
        age             double precision,
        followers       double precision,
        source          text COLLATE "C" NOT NULL,
        user_id         text COLLATE "C" NOT NULL,
        name            text,
        gender          text,
        country         text,
        city            text,
        CONSTRAINT demographics_source_user_id_key UNIQUE (user_id, source)
    ) PARTITION BY LIST (source)
    """,
    """
    CREATE TABLE revenue (
        occurred_at     timestamptz NOT NULL,
        source          text COLLATE "C" NOT NULL,
        event_id        text COLLATE "C" NOT NULL,
        user_id         text COLLATE "C" NOT NULL,
        campaign_id     text,
        ad_id           text,
        item            text,
        amount          numeric NOT NULL,
        currency        text,
        CONSTRAINT revenue_source_event_id_key UNIQUE (event_id, source)
    ) PARTITION BY LIST (source)
    """,
    """
    CREATE TABLE batches (
        stored_at       timestamptz NOT NULL DEFAULT now(),
        stream_seq      bigint NOT NULL,
        events          integer NOT NULL,
        inserted        integer NOT NULL,
        duplicates      integer NOT NULL,
        dead_lettered   integer NOT NULL,
        stream          text COLLATE "C" NOT NULL,
        source          text COLLATE "C" NOT NULL,
        message_id      text COLLATE "C" NOT NULL,
        correlation_id  text COLLATE "C" NOT NULL,
        CONSTRAINT batches_message_id_key UNIQUE (message_id),
        CONSTRAINT batches_add_up CHECK (events = inserted + duplicates + dead_lettered)
    )
    """,
    "CREATE INDEX batches_correlation_id_idx ON batches (correlation_id)",
)


def upgrade() -> None:
    """Create the four tables."""
    for statement in STATEMENTS:
        op.execute(statement)
