"""What must be there before the first request: schema, artifacts, built-in families, digits, this machine as device."""

from __future__ import annotations

from nas_service.control.lookup_tables import install
from nas_service.control.spaces import store_space
from nas_service.datasets.dataset import build_dataset
from nas_service.datasets.ingest import ingest_digits
from nas_service.datasets.store import DatasetStore
from nas_service.errors import NotFound
from nas_service.methods.runtimes import RUNTIMES
from nas_service.settings import Settings
from nas_service.storage import datasets, devices, installation, keys, lookup_tables, migrate
from nas_service.storage.session import Engine, Session, unit_of_work
from nas_service.tables.builtin import NASBENCH201, nasbench201
from nas_service.tables.table import table_path
from search_spaces.library_index import LIBRARY, load_library

LOCAL_DEVICE = "local-cpu"


def prepare(engine: Engine, settings: Settings) -> None:
    """Bring a database and an artifact store to what this release needs; repeating it changes nothing."""
    migrate.upgrade(engine)
    with unit_of_work(engine) as session:
        installation.mark_artifacts(installation.ensure(session), settings.artifacts)
        for name in LIBRARY:
            store_space(session, load_library(name))
        # So that a search may name it at once; the dispatcher fills in what the machine is.
        devices.register(session, name=LOCAL_DEVICE, runtimes=sorted(RUNTIMES), fingerprint={"processor": "cpu"})
        _add_builtin_tables(session, settings)
        known = _has_digits(session)
    if not known:
        dataset = build_dataset("digits", ingest_digits())
        DatasetStore(settings.artifacts / "datasets").write(dataset)
        with unit_of_work(engine) as session:
            datasets.register(session, name="digits", manifest=dict(dataset.info))


def _add_builtin_tables(session: Session, settings: Settings) -> None:
    try:
        table_id = lookup_tables.get(session, NASBENCH201).id
    except NotFound:
        table_id = None
    if table_id is None or not table_path(settings.artifacts, table_id).exists():
        install(session, nasbench201(), NASBENCH201, settings.artifacts)


def first_key(engine: Engine) -> str | None:
    """An admin key if there is no key yet; it is shown once and stored as a hash only."""
    with unit_of_work(engine) as session:
        if keys.list_keys(session):
            return None
        return keys.create_key(session, "admin", ["admin"]).token


def _has_digits(session: Session) -> bool:
    try:
        datasets.get(session, "digits")
    except NotFound:
        return False
    return True
