"""Where an answer leads: OpenAPI links from the operation that gives an id to those that take it."""

from __future__ import annotations

from typing import Any

# operation -> (status, name of the link, target operation, where its parameters or body come from)
Link = tuple[str, str, str, dict[str, Any]]


def _leads(status: str, source: str, parameter: str, *targets: str) -> tuple[Link, ...]:
    """Links that pass the value at ``source`` in the answer as the path parameter ``parameter``."""
    given = {"parameters": {parameter: f"$response.body#/{source}"}}
    return tuple((status, f"to_{target}", target, given) for target in targets)


_OF_SEARCH = (
    "searches_get",
    "searches_pause",
    "searches_resume",
    "searches_cancel",
    "trials_list_of_search",
    "trials_front",
    "charts_trial_columns",
    "charts_hypervolume",
    "charts_timeline_of_search",
    "trials_measurements",
    "events_list_of_search",
    "exports_list_of_search",
)
_OF_SPACE = ("search_spaces_get", "search_spaces_profile", "search_spaces_sample", "search_spaces_costs")
_EXPORT: Link = ("200", "to_exports_create", "exports_create", {"requestBody": {"trial_id": "$response.body#/id"}})
_SAMPLES_COSTS: Link = (
    "200",
    "to_search_spaces_costs",
    "search_spaces_costs",
    {
        "parameters": {"space_id": "$request.path.space_id"},
        "requestBody": {"architectures": ["$response.body#/items/0/choices"]},
    },
)

LINKS: dict[str, tuple[Link, ...]] = {
    "searches_create": _leads("201", "id", "search_id", *_OF_SEARCH),
    "searches_list_all": _leads("200", "items/0/id", "search_id", *_OF_SEARCH),
    "searches_get": (
        *_leads("200", "space_id", "space_id", *_OF_SPACE),
        *_leads("200", "supernet_id", "supernet_id", "supernets_get", "supernets_curves"),
        *_leads("200", "dataset_id", "dataset_id", "datasets_get", "datasets_get_preview"),
    ),
    "trials_list_of_search": (
        *_leads("200", "items/0/id", "trial_id", "trials_get"),
        *_leads("200", "items/0/architecture_hash", "architecture_hash", "trials_architecture"),
    ),
    "trials_front": (
        *_leads("200", "members/0/id", "trial_id", "trials_get"),
        *_leads("200", "members/0/architecture_hash", "architecture_hash", "trials_architecture"),
    ),
    "trials_get": (_EXPORT,),
    "exports_create": _leads("202", "id", "export_id", "exports_get"),
    "exports_list_of_search": _leads("200", "items/0/id", "export_id", "exports_get"),
    "exports_get": (
        (
            "200",
            "to_exports_download",
            "exports_download",
            {"parameters": {"export_id": "$response.body#/id", "name": "$response.body#/files/0/name"}},
        ),
    ),
    "search_spaces_create": _leads("201", "id", "space_id", *_OF_SPACE),
    "search_spaces_list_all": _leads("200", "items/0/id", "space_id", *_OF_SPACE),
    "search_spaces_sample": (_SAMPLES_COSTS,),
    "tables_create": _leads("201", "id", "upload_id", "tables_add_rows", "tables_seal"),
    "tables_seal": _leads("200", "id", "table", "tables_get"),
    "tables_list_all": _leads("200", "items/0/id", "table", "tables_get"),
    "supernets_list_all": _leads("200", "items/0/id", "supernet_id", "supernets_get", "supernets_curves"),
    "datasets_list_all": _leads(
        "200", "items/0/id", "dataset_id", "datasets_get", "datasets_get_preview", "datasets_get_samples"
    ),
    "devices_list_all": _leads("200", "items/0/id", "device_id", "devices_get"),
    "access_create_key": _leads("201", "id", "key_id", "access_revoke_key"),
}
