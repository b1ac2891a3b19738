"""Initial schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('api_key',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('secret_sha256', sa.LargeBinary(), nullable=False),
    sa.Column('scopes', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_key'))
    )
    op.create_table('audit',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=True), nullable=False),
    sa.Column('principal', sa.Text(), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('remote', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit'))
    )
    op.create_table('dataset',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('fingerprint', sa.Text(), nullable=False),
    sa.Column('manifest', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dataset')),
    sa.UniqueConstraint('name', name=op.f('uq_dataset_name'))
    )
    op.create_table('device',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('runtimes', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('fingerprint', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('last_measured_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("kind IN ('local')", name=op.f('ck_device_kind_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_device')),
    sa.UniqueConstraint('name', name=op.f('uq_device_name'))
    )
    op.create_table('idempotency',
    sa.Column('principal', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('fingerprint', sa.Text(), nullable=False),
    sa.Column('status', sa.SmallInteger(), nullable=False),
    sa.Column('body', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('location', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('principal', 'key', name=op.f('pk_idempotency'))
    )
    op.create_table('installation',
    sa.Column('id', sa.SmallInteger(), nullable=False),
    sa.Column('artifact_marker', sa.Text(), nullable=False),
    sa.Column('cursor_secret', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_installation_single_row')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_installation'))
    )
    op.create_table('search_space',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('document', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('num_genes', sa.Integer(), nullable=False),
    sa.Column('cardinality', sa.Numeric(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_search_space'))
    )
    op.create_table('browser_session',
    sa.Column('token_sha256', sa.LargeBinary(), nullable=False),
    sa.Column('key_id', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['key_id'], ['api_key.id'], name=op.f('fk_browser_session_key_id_api_key'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('token_sha256', name=op.f('pk_browser_session'))
    )
    op.create_table('latency_estimator',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('definition_key', sa.Text(), nullable=False),
    sa.Column('space_id', sa.Text(), nullable=False),
    sa.Column('device_id', sa.Text(), nullable=False),
    sa.Column('target', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('document', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('held_out', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state IN ('queued', 'ready', 'failed')", name=op.f('ck_latency_estimator_state_known')),
    sa.ForeignKeyConstraint(['device_id'], ['device.id'], name=op.f('fk_latency_estimator_device_id_device')),
    sa.ForeignKeyConstraint(['space_id'], ['search_space.id'], name=op.f('fk_latency_estimator_space_id_search_space')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_latency_estimator')),
    sa.UniqueConstraint('definition_key', name=op.f('uq_latency_estimator_definition_key'))
    )
    op.create_table('supernet',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('definition_key', sa.Text(), nullable=False),
    sa.Column('space_id', sa.Text(), nullable=False),
    sa.Column('dataset_id', sa.Text(), nullable=False),
    sa.Column('recipe', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('seed', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('checkpoint', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('train_s', sa.Double(), nullable=True),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('ready_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('queued', 'training', 'ready', 'failed', 'cancelled')", name=op.f('ck_supernet_state_known')),
    sa.ForeignKeyConstraint(['dataset_id'], ['dataset.id'], name=op.f('fk_supernet_dataset_id_dataset')),
    sa.ForeignKeyConstraint(['space_id'], ['search_space.id'], name=op.f('fk_supernet_space_id_search_space')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_supernet')),
    sa.UniqueConstraint('definition_key', name=op.f('uq_supernet_definition_key'))
    )
    op.create_table('search',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('phase', sa.Text(), nullable=False),
    sa.Column('spec', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('space_id', sa.Text(), nullable=False),
    sa.Column('dataset_id', sa.Text(), nullable=False),
    sa.Column('supernet_id', sa.Text(), nullable=True),
    sa.Column('estimator_id', sa.Text(), nullable=True),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('strategy_state', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('num_asked', sa.Integer(), server_default='0', nullable=False),
    sa.Column('num_told', sa.Integer(), server_default='0', nullable=False),
    sa.Column('num_rejected', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('exhausted', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('reference_point', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('hypervolume', sa.Double(), nullable=True),
    sa.Column('front_size', sa.Integer(), nullable=True),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('search_started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("phase IN ('supernet', 'latency', 'search', 'finalists', 'done')", name=op.f('ck_search_phase_known')),
    sa.CheckConstraint("state IN ('queued', 'running', 'pausing', 'paused', 'succeeded', 'failed', 'cancelled')", name=op.f('ck_search_state_known')),
    sa.CheckConstraint('num_told <= num_asked', name=op.f('ck_search_told_le_asked')),
    sa.ForeignKeyConstraint(['dataset_id'], ['dataset.id'], name=op.f('fk_search_dataset_id_dataset')),
    sa.ForeignKeyConstraint(['estimator_id'], ['latency_estimator.id'], name=op.f('fk_search_estimator_id_latency_estimator')),
    sa.ForeignKeyConstraint(['space_id'], ['search_space.id'], name=op.f('fk_search_space_id_search_space')),
    sa.ForeignKeyConstraint(['supernet_id'], ['supernet.id'], name=op.f('fk_search_supernet_id_supernet')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_search'))
    )
    op.create_index('ix_search_active', 'search', ['id'], unique=False, postgresql_where=sa.text("state IN ('queued','running','pausing')"))
    op.create_index('ix_search_created', 'search', ['created_at', 'id'], unique=False)
    op.create_table('supernet_curve_point',
    sa.Column('supernet_id', sa.Text(), nullable=False),
    sa.Column('subnet', sa.Text(), nullable=False),
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('accuracy_top1', sa.Double(), nullable=False),
    sa.Column('loss', sa.Double(), nullable=False),
    sa.ForeignKeyConstraint(['supernet_id'], ['supernet.id'], name=op.f('fk_supernet_curve_point_supernet_id_supernet'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('supernet_id', 'subnet', 'step', name=op.f('pk_supernet_curve_point'))
    )
    op.create_table('event',
    sa.Column('seq', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('search_id', sa.Text(), nullable=True),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('data', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['search_id'], ['search.id'], name=op.f('fk_event_search_id_search'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_event'))
    )
    op.create_index('ix_event_search', 'event', ['search_id', 'seq'], unique=False)
    op.create_table('front_point',
    sa.Column('search_id', sa.Text(), nullable=False),
    sa.Column('num_evaluations', sa.Integer(), nullable=False),
    sa.Column('hypervolume', sa.Double(), nullable=False),
    sa.Column('front_size', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['search_id'], ['search.id'], name=op.f('fk_front_point_search_id_search'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('search_id', 'num_evaluations', name=op.f('pk_front_point'))
    )
    op.create_table('job',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('dedup_key', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='queued', nullable=False),
    sa.Column('search_id', sa.Text(), nullable=True),
    sa.Column('supernet_id', sa.Text(), nullable=True),
    sa.Column('subject_id', sa.Text(), nullable=True),
    sa.Column('payload', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('result', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('progress', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('priority', sa.SmallInteger(), server_default='100', nullable=False),
    sa.Column('exclusive', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('attempt', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('max_attempts', sa.SmallInteger(), server_default='3', nullable=False),
    sa.Column('epoch', sa.Integer(), server_default='0', nullable=False),
    sa.Column('lease_owner', sa.Text(), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('run_after', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name=op.f('ck_job_lease_iff_running')),
    sa.CheckConstraint("kind IN ('train_supernet', 'fit_latency', 'evaluate', 'train_network', 'measure', 'export')", name=op.f('ck_job_kind_known')),
    sa.CheckConstraint("state IN ('queued', 'running', 'succeeded', 'failed', 'quarantined', 'cancelled')", name=op.f('ck_job_state_known')),
    sa.ForeignKeyConstraint(['search_id'], ['search.id'], name=op.f('fk_job_search_id_search'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['supernet_id'], ['supernet.id'], name=op.f('fk_job_supernet_id_supernet'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_job')),
    sa.UniqueConstraint('dedup_key', name=op.f('uq_job_dedup_key')),
    postgresql_with={'fillfactor': '70'}
    )
    op.create_index('ix_job_claimable', 'job', ['priority', 'id'], unique=False, postgresql_where=sa.text("state = 'queued'"))
    op.create_index('ix_job_leased', 'job', ['lease_until'], unique=False, postgresql_where=sa.text("state = 'running'"))
    op.create_index('ix_job_search', 'job', ['search_id'], unique=False)
    op.create_table('trial',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('search_id', sa.Text(), nullable=False),
    sa.Column('stage', sa.Text(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('replicate', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('architecture_hash', sa.Text(), nullable=False),
    sa.Column('genes', postgresql.ARRAY(sa.SmallInteger()), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('evaluation_key', sa.Text(), nullable=False),
    sa.Column('token', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('job_id', sa.Text(), nullable=True),
    sa.Column('reused_from', sa.Text(), nullable=True),
    sa.Column('accuracy_top1', sa.Double(), nullable=True),
    sa.Column('loss', sa.Double(), nullable=True),
    sa.Column('macs', sa.BigInteger(), nullable=True),
    sa.Column('params', sa.BigInteger(), nullable=True),
    sa.Column('latency_ms', sa.Double(), nullable=True),
    sa.Column('latency_p10_ms', sa.Double(), nullable=True),
    sa.Column('latency_p90_ms', sa.Double(), nullable=True),
    sa.Column('metrics', postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('eval_s', sa.Double(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(state IN ('pending','running')) = (finished_at IS NULL)", name=op.f('ck_trial_finished_iff_terminal')),
    sa.CheckConstraint("stage IN ('search', 'final')", name=op.f('ck_trial_stage_known')),
    sa.CheckConstraint("state <> 'succeeded' OR (accuracy_top1 BETWEEN 0 AND 1 AND loss >= 0)", name=op.f('ck_trial_succeeded_has_metrics')),
    sa.CheckConstraint("state IN ('pending', 'running', 'succeeded', 'infeasible', 'failed', 'quarantined', 'cancelled')", name=op.f('ck_trial_state_known')),
    sa.ForeignKeyConstraint(['search_id'], ['search.id'], name=op.f('fk_trial_search_id_search'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_trial')),
    sa.UniqueConstraint('search_id', 'evaluation_key', name=op.f('uq_trial_search_id_evaluation_key')),
    sa.UniqueConstraint('search_id', 'stage', 'number', name=op.f('uq_trial_search_id_stage_number'))
    )
    op.create_index('ix_trial_architecture', 'trial', ['architecture_hash'], unique=False)
    op.create_index('ix_trial_evaluation_key', 'trial', ['evaluation_key'], unique=False, postgresql_where=sa.text("state = 'succeeded'"))
    op.create_index('ix_trial_open', 'trial', ['search_id'], unique=False, postgresql_where=sa.text("state IN ('pending','running')"))
    op.create_table('attempt',
    sa.Column('job_id', sa.Text(), nullable=False),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('owner', sa.Text(), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('message', sa.Text(), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("outcome IN ('running', 'succeeded', 'failed', 'lost', 'released')", name=op.f('ck_attempt_outcome_known')),
    sa.ForeignKeyConstraint(['job_id'], ['job.id'], name=op.f('fk_attempt_job_id_job'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'epoch', name=op.f('pk_attempt'))
    )
    op.create_table('export',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('search_id', sa.Text(), nullable=False),
    sa.Column('trial_id', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('path', sa.Text(), nullable=True),
    sa.Column('files', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('parity', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('ready_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state IN ('queued', 'running', 'ready', 'failed', 'cancelled')", name=op.f('ck_export_state_known')),
    sa.ForeignKeyConstraint(['search_id'], ['search.id'], name=op.f('fk_export_search_id_search'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['trial_id'], ['trial.id'], name=op.f('fk_export_trial_id_trial'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_export')),
    sa.UniqueConstraint('trial_id', name=op.f('uq_export_trial_id'))
    )
    op.create_table('measurement',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('search_id', sa.Text(), nullable=True),
    sa.Column('trial_id', sa.Text(), nullable=True),
    sa.Column('architecture_hash', sa.Text(), nullable=False),
    sa.Column('device_id', sa.Text(), nullable=False),
    sa.Column('metric', sa.Text(), nullable=False),
    sa.Column('value', sa.Double(), nullable=False),
    sa.Column('p10', sa.Double(), nullable=True),
    sa.Column('p90', sa.Double(), nullable=True),
    sa.Column('num_samples', sa.Integer(), nullable=False),
    sa.Column('protocol', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['device_id'], ['device.id'], name=op.f('fk_measurement_device_id_device')),
    sa.ForeignKeyConstraint(['search_id'], ['search.id'], name=op.f('fk_measurement_search_id_search'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['trial_id'], ['trial.id'], name=op.f('fk_measurement_trial_id_trial'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_measurement'))
    )
    op.create_index('ix_measurement_architecture', 'measurement', ['architecture_hash', 'device_id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_measurement_architecture', table_name='measurement')
    op.drop_table('measurement')
    op.drop_table('export')
    op.drop_table('attempt')
    op.drop_index('ix_trial_open', table_name='trial', postgresql_where=sa.text("state IN ('pending','running')"))
    op.drop_index('ix_trial_evaluation_key', table_name='trial', postgresql_where=sa.text("state = 'succeeded'"))
    op.drop_index('ix_trial_architecture', table_name='trial')
    op.drop_table('trial')
    op.drop_index('ix_job_search', table_name='job')
    op.drop_index('ix_job_leased', table_name='job', postgresql_where=sa.text("state = 'running'"))
    op.drop_index('ix_job_claimable', table_name='job', postgresql_where=sa.text("state = 'queued'"))
    op.drop_table('job')
    op.drop_table('front_point')
    op.drop_index('ix_event_search', table_name='event')
    op.drop_table('event')
    op.drop_table('supernet_curve_point')
    op.drop_index('ix_search_created', table_name='search')
    op.drop_index('ix_search_active', table_name='search', postgresql_where=sa.text("state IN ('queued','running','pausing')"))
    op.drop_table('search')
    op.drop_table('supernet')
    op.drop_table('latency_estimator')
    op.drop_table('browser_session')
    op.drop_table('search_space')
    op.drop_table('installation')
    op.drop_table('idempotency')
    op.drop_table('device')
    op.drop_table('dataset')
    op.drop_table('audit')
    op.drop_table('api_key')
