"""Generated requests against a running server and a real database: every answer is one the OpenAPI document allows."""

from typing import get_args

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from pydantic_core import core_schema
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from tests.support import api, searches

EXAMPLES = 12
# Refusals of the shape of a request; a request that fits the document must never meet one.
SHAPE_CODES = frozenset(get_args(core_schema.ErrorType)) - {"value_error"}
# Rules that no schema can express: cursors are signed, free-form JSON has limits of depth and size.
BEYOND_SCHEMA = ("page_token:", "the body is nested", "the body has more than")


@pytest.fixture(scope="module")
def server(engine, database_url, tmp_path_factory):
    searches.install(engine)
    with api.served(api.app_on(database_url, tmp_path_factory.mktemp("home"))) as url:
        yield url


@pytest.fixture(scope="module")
def headers(engine):
    return {"Authorization": f"Bearer {api.new_key(engine)}"}


@pytest.fixture(scope="module")
def operations(server, headers):
    document = requests.get(f"{server}/v1/openapi.json", headers=headers, timeout=10).json()
    # A fuzzer that signs out or revokes keys would end its own access.
    for path in ("/v1/session", "/v1/keys/{key_id}"):
        del document["paths"][path]
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=server)
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    return [found.ok() for found in schema.get_all_operations()]


def test_no_operation_breaks_its_contract(operations, headers):
    failures = []
    assert len(operations) > 35
    for operation in operations:

        def run(case):
            answer = case.call(headers=headers, timeout=30)
            # positive_data_acceptance also counts rules beyond the schema; `must_be_accepted` tells them apart
            case.validate_response(answer, excluded_checks=[ignored_auth, positive_data_acceptance])
            if case.meta is None or case.meta.generation.mode.is_positive:
                must_be_accepted(answer)

        test = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            test(given(case=operation.as_strategy())(run))()
        except BaseExceptionGroup as group:
            failures.append(f"{operation.label}: {group.exceptions}")
        except Exception as error:
            failures.append(f"{operation.label}: {error}")
    assert not failures, "\n\n".join(failures)


def must_be_accepted(answer):
    """A request that fits the document is refused only by rules beyond the document."""
    if answer.status_code == 422:
        codes = {item["code"] for item in answer.json().get("errors", ())}
        assert not codes & SHAPE_CODES, (answer.json(), answer.request.body)
    elif answer.status_code == 400:
        assert answer.json()["detail"].startswith(BEYOND_SCHEMA), answer.json()
    else:
        assert answer.status_code not in (413, 415, 421), answer.json()


def test_reading_without_a_key_is_refused_everywhere(operations):
    for operation in operations:
        if operation.path in ("/livez", "/readyz"):
            continue

        def run(case):
            answer = case.call(timeout=30)
            assert answer.status_code in (400, 401, 403, 404, 405, 413), answer.text
            case.validate_response(answer, checks=[not_a_server_error])

        quick = settings(max_examples=2, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
        settings(quick, suppress_health_check=list(HealthCheck))(given(case=operation.as_strategy())(run))()
