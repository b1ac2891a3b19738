"""Members of a search space by number: choices, costs, and the network as a graph for drawing and as text."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from nas_service.api.asset_views import CostedArchitecture
from nas_service.api.deps import ServiceDep
from nas_service.api.problems import from_space_error
from nas_service.api.schemas import SpaceId
from nas_service.api.spaces import stored_space
from search_spaces.errors import SpaceError
from search_spaces.views.describe import network_text

router = APIRouter(prefix="/v1", tags=["search_spaces"])
Number = Annotated[str, Path(pattern=r"^(0|[1-9][0-9]{0,999})$", description="0 to cardinality - 1")]


class MemberOut(CostedArchitecture):
    """An architecture of a space with its number and its network, whose nodes name what they read."""

    number: str
    network: dict[str, object] = Field(
        description="Nodes in order; input 0 is the network's, i + 1 is node i's output."
    )
    text: str


@router.get("/search-spaces/{space_id}/architectures/{number}", response_model=MemberOut)
def member(space_id: SpaceId, number: Number, service: ServiceDep) -> MemberOut:
    """The architecture of a number; all numbers below the cardinality name one each."""
    space = stored_space(service, space_id)
    try:
        genes = space.unrank([int(number)])[0]
    except SpaceError as error:
        raise from_space_error(error, "/number") from None
    architecture = space.architecture(genes)
    network = space.resolve(genes)
    return MemberOut(
        number=number,
        hash=architecture.hash,
        choices=dict(architecture.choices),
        costs=vars(network.cost()),
        network=network.to_json(),
        text=network_text(network),
    )
