"""The ledger says who sent a message.

A column without a default: no row is rewritten, and collectors of the version before go on writing beside it.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; rows before it, and those of a gateway that runs open, have none."""
    op.execute('ALTER TABLE batches ADD COLUMN sender text COLLATE "C"')
