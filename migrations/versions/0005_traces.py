"""The trace (W3C Trace Context) of the request that began a search, and of the jobs that followed from it."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('search', sa.Column('trace_id', sa.Text(), nullable=True))
    op.add_column('job', sa.Column('trace_id', sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column('job', 'trace_id')
    op.drop_column('search', 'trace_id')
