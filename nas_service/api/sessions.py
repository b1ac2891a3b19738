"""Signing in with a key (browser sessions), and the keys themselves."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from nas_service.api.auth import COOKIE
from nas_service.api.deps import PrincipalDep, ServiceDep
from nas_service.api.schemas import KeyId, KeyIn, SignInIn
from nas_service.api.views import KeyOut, NewKeyOut, Page, SessionOut
from nas_service.errors import Conflict, NotFound, Unauthenticated
from nas_service.storage import audit, browser_sessions, keys

router = APIRouter(prefix="/v1", tags=["access"])


@router.post("/session", response_model=SessionOut)
def sign_in(request: Request, body: SignInIn, service: ServiceDep) -> JSONResponse:
    """Exchange a key for a session cookie."""
    address = request.client.host if request.client else ""
    service.sign_ins.check(address)
    with service.reading() as session:
        holder = keys.verify_key(session, body.key)
        if holder is None:
            service.sign_ins.failed(address)
            raise Unauthenticated("The key is unknown, expired or revoked.")
        token = browser_sessions.start_session(session, holder.id)
        audit.record(session, holder.id, "session.start", holder.id, address)
    view = SessionOut(id=holder.id, name=holder.name, scopes=sorted(holder.scopes))
    answer = JSONResponse(view.model_dump())
    answer.set_cookie(
        COOKIE,
        token,
        max_age=int(browser_sessions.LIFETIME_S),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.get("/session", response_model=SessionOut)
def who_am_i(principal: PrincipalDep) -> SessionOut:
    """Who is asking, and what they may do."""
    return SessionOut(id=principal.id, name=principal.name, scopes=sorted(principal.scopes))


@router.delete("/session", status_code=204)
def sign_out(request: Request, service: ServiceDep) -> Response:
    """End the session of this browser."""
    token = request.cookies.get(COOKIE)
    if token:
        with service.reading() as session:
            browser_sessions.end_session(session, token)
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


@router.get("/keys", response_model=Page[KeyOut])
def list_keys(service: ServiceDep) -> Page[KeyOut]:
    """Every key, oldest first."""
    with service.reading() as session:
        return Page[KeyOut](items=[KeyOut.model_validate(key) for key in keys.list_keys(session)])


@router.post("/keys", status_code=201, response_model=NewKeyOut)
def create_key(body: KeyIn, service: ServiceDep, principal: PrincipalDep) -> NewKeyOut:
    """Make a key. An Idempotency-Key has no effect here: the secret is in the answer and is kept nowhere."""
    with service.reading() as session:
        made = keys.create_key(session, body.name, set(body.scopes), body.expires_in_s)
        audit.record(session, principal.id, "key.create", made.id)
    return NewKeyOut(id=made.id, key=made.token)


@router.delete("/keys/{key_id}", status_code=204)
def revoke_key(key_id: KeyId, service: ServiceDep, principal: PrincipalDep) -> Response:
    """End another key; requests under it are refused within seconds."""
    if key_id == principal.id:
        raise Conflict("a key does not revoke itself: use another one, or `nas key revoke` on the server")
    with service.reading() as session:
        if not keys.revoke_key(session, key_id):
            raise NotFound(f"there is no valid key {key_id}")
        audit.record(session, principal.id, "key.revoke", key_id)
    return Response(status_code=204)
