"""Tables of evaluated architectures, searches over them, fidelities, and what joined a front."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

_KINDS = "'train_supernet', 'fit_latency', 'evaluate', 'train_network', 'measure', 'export'"


def upgrade() -> None:
    op.create_table('lookup_table',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('space_id', sa.Text(), nullable=False),
    sa.Column('manifest', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['space_id'], ['search_space.id'], name=op.f('fk_lookup_table_space_id_search_space')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_lookup_table')),
    sa.UniqueConstraint('name', name=op.f('uq_lookup_table_name'))
    )
    op.create_table('table_upload',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('num_rows', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_table_upload'))
    )
    op.create_table('table_piece',
    sa.Column('upload_id', sa.Text(), nullable=False),
    sa.Column('first_row', sa.Integer(), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['upload_id'], ['table_upload.id'], name=op.f('fk_table_piece_upload_id_table_upload'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('upload_id', 'first_row', name=op.f('pk_table_piece'))
    )
    op.alter_column('search', 'dataset_id', existing_type=sa.Text(), nullable=True)
    op.add_column('search', sa.Column('table_id', sa.Text(), nullable=True))
    op.create_foreign_key(op.f('fk_search_table_id_lookup_table'), 'search', 'lookup_table', ['table_id'], ['id'])
    op.add_column('search', sa.Column('true_hypervolume', sa.Double(), nullable=True))
    op.add_column('trial', sa.Column('fidelity', sa.Double(), server_default='1', nullable=False))
    op.add_column('trial', sa.Column('joined_front', sa.Boolean(), server_default='false', nullable=False))
    # More than the fronts ever held, which costs a little time where they are read and changes nothing.
    op.execute("UPDATE trial SET joined_front = true WHERE stage = 'search' AND state = 'succeeded'")
    op.create_index('ix_trial_number', 'trial', ['search_id', 'number', 'id'])
    op.create_index('ix_trial_joined_front', 'trial', ['search_id', 'number'], postgresql_where=sa.text('joined_front'))
    op.drop_constraint(op.f('ck_job_kind_known'), 'job')
    op.create_check_constraint(op.f('ck_job_kind_known'), 'job', f"kind IN ({_KINDS}, 'advance')")


def downgrade() -> None:
    op.execute("DELETE FROM job WHERE kind = 'advance'")
    op.drop_constraint(op.f('ck_job_kind_known'), 'job')
    op.create_check_constraint(op.f('ck_job_kind_known'), 'job', f"kind IN ({_KINDS})")
    op.drop_index('ix_trial_joined_front', 'trial')
    op.drop_index('ix_trial_number', 'trial')
    op.drop_column('trial', 'joined_front')
    op.drop_column('trial', 'fidelity')
    op.execute('DELETE FROM search WHERE dataset_id IS NULL')
    op.drop_column('search', 'true_hypervolume')
    op.drop_constraint(op.f('fk_search_table_id_lookup_table'), 'search')
    op.drop_column('search', 'table_id')
    op.alter_column('search', 'dataset_id', existing_type=sa.Text(), nullable=False)
    op.drop_table('table_piece')
    op.drop_table('table_upload')
    op.drop_table('lookup_table')
