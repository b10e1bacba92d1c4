"""What alembic runs: the revisions, on the connection and in the transaction that `collectors.migrate` has."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
