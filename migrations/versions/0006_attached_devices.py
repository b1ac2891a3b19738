"""When an attached device was last there, and which jobs only that device can do."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("device", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE device SET seen_at = now() WHERE fingerprint ? 'resource'")
    op.add_column("job", sa.Column("resource", sa.Text(), nullable=True))
    op.execute("UPDATE job SET resource = payload ->> 'resource' WHERE payload ->> 'resource' IS NOT NULL")


def downgrade() -> None:
    op.drop_column("job", "resource")
    op.drop_column("device", "seen_at")
