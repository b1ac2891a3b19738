"""What a user should know about a trained supernet; jobs by what they are about, asked for at every step."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    warnings = postgresql.JSONB(astext_type=sa.Text())
    op.add_column("supernet", sa.Column("warnings", warnings, server_default=sa.text("'[]'::jsonb"), nullable=False))
    op.create_index("ix_job_subject", "job", ["subject_id"])


def downgrade() -> None:
    op.drop_index("ix_job_subject", "job")
    op.drop_column("supernet", "warnings")
