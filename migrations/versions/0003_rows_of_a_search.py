"""Measurements and exports of one search or trial without looking through all of them."""

from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_measurement_search', 'measurement', ['search_id'])
    op.create_index('ix_export_search', 'export', ['search_id'])


def downgrade() -> None:
    op.drop_index('ix_export_search', 'export')
    op.drop_index('ix_measurement_search', 'measurement')
