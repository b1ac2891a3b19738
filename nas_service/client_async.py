"""Python client of the REST API: retries what is safe to repeat, pages through lists, resumes streams and downloads.

from nas_service.client_async import AsyncClient
async with AsyncClient("http://127.0.0.1:8000", key) as nas:
    search = await nas.create_search({"name": "mine", "space": {"library": "digits-mobile"}, "dataset": "digits", ...})
    await nas.wait(search["id"])
    front = await nas.front(search["id"])
    export = await nas.create_export(front["members"][0]["id"])
    await nas.download(await nas.wait_for_export(export["id"]), Path("model"))

`client.py` is made from this file by `python -m nas_service.client_sync`: write here what both have in common.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from nas_service import client_http
from nas_service.client_http import MAX_TRIES, RETRY_STATUS, ApiError, Unreachable, checked
from nas_service.client_rows import pieces
from nas_service.client_types import (
    Architecture,
    CostedArchitecture,
    Dataset,
    Device,
    Event,
    Export,
    Front,
    Json,
    Key,
    Measurement,
    NewKey,
    Plan,
    Search,
    Space,
    Supernet,
    Table,
    Trial,
    TrialDetail,
)

__all__ = ["FINISHED", "ApiError", "AsyncClient", "Unreachable"]

FINISHED = frozenset({"succeeded", "failed", "cancelled"})


class AsyncClient:
    """One service, asked under one key. Methods raise ``ApiError`` (refused) and ``Unreachable`` (no answer)."""

    def __init__(self, base_url: str, key: str, *, timeout_s: float = 30.0) -> None:
        self._http = httpx.AsyncClient(**client_http.settings(base_url, key, timeout_s))

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # --- any route ---

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        once: bool = False,
    ) -> httpx.Response:
        """A successful answer; tried again after 429, 502, 503, 504 and broken connections.

        Every POST carries an idempotency key, the same at each try: a creation whose answer was lost is not repeated,
        the service gives the first answer again. With ``once`` a broken connection is not tried again: the first try
        may have had its effect. Raises ``ApiError`` for any other refusal and ``Unreachable`` when no answer came.
        """
        sent = dict(headers or {})
        if method == "POST":
            sent["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        for attempt in range(1, MAX_TRIES + 1):
            try:
                answer = await self._http.request(method, path, json=body, params=params, headers=sent)
            except httpx.TransportError as error:
                if attempt == MAX_TRIES or once:
                    raise Unreachable(f"no answer from {self._http.base_url}: {error}") from error
                await asyncio.sleep(client_http.delay_s(attempt, None))
                continue
            if answer.status_code in RETRY_STATUS and attempt < MAX_TRIES:
                await asyncio.sleep(client_http.delay_s(attempt, answer.headers.get("retry-after")))
                continue
            return checked(answer)
        raise AssertionError("the last try returns or raises")

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON answer to GET; parameters that are None are left out."""
        given = {name: value for name, value in params.items() if value is not None}
        return (await self.request("GET", path, params=given)).json()

    async def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """The JSON answer to POST, repeated safely under one idempotency key."""
        sent = {} if body is None else body
        return (await self.request("POST", path, body=sent, idempotency_key=idempotency_key)).json()

    async def pages(self, path: str, **params: Any) -> AsyncIterator[Any]:
        """All items of a list, page by page."""
        token = None
        while True:
            page = await self.get(path, **params, page_token=token)
            for item in page["items"]:
                yield item
            token = page.get("next_page_token")
            if not token:
                return

    # --- searches ---

    async def create_search(self, request: Mapping[str, Any], *, idempotency_key: str | None = None) -> Search:
        """Start a search. With a key of your own, also a second call (after a crash, say) starts it only once."""
        return await self.post("/v1/searches", request, idempotency_key=idempotency_key)

    async def plan_search(self, request: Mapping[str, Any]) -> Plan:
        """What a search would do; starts nothing and stores nothing."""
        return await self.post("/v1/search-plans", request)

    def searches(self, *, state: str | None = None, name: str | None = None) -> AsyncIterator[Search]:
        """Searches, newest first, optionally of one state or with a text in their name."""
        return self.pages("/v1/searches", state=state, name=name)

    async def search(self, search_id: str) -> Search:
        return await self.get(f"/v1/searches/{search_id}")

    async def search_and_etag(self, search_id: str) -> tuple[Search, str]:
        """A search and the ETag that names the state it was read in, for ``if_match``."""
        answer = await self.request("GET", f"/v1/searches/{search_id}")
        return answer.json(), answer.headers["etag"]

    async def pause(self, search_id: str, *, if_match: str | None = None) -> Search:
        """Start nothing new; what is being computed is finished and recorded."""
        return await self._act(search_id, "pause", if_match)

    async def resume(self, search_id: str, *, if_match: str | None = None) -> Search:
        """Go on where it was paused."""
        return await self._act(search_id, "resume", if_match)

    async def cancel(self, search_id: str, *, if_match: str | None = None) -> Search:
        """End it now; what was recorded stays."""
        return await self._act(search_id, "cancel", if_match)

    async def _act(self, search_id: str, action: str, if_match: str | None) -> Search:
        headers = {} if if_match is None else {"If-Match": if_match}
        path = f"/v1/searches/{search_id}/{action}"
        # A second try would meet the state that a lost first one has made, and be refused.
        return (await self.request("POST", path, body={}, headers=headers, once=if_match is not None)).json()

    async def wait(
        self,
        search_id: str,
        *,
        timeout_s: float | None = None,
        on_change: Callable[[Search], None] = lambda _: None,
        poll_s: float = 0.5,
    ) -> Search:
        """Follow a search to its end; ``on_change`` sees each poll's answer. Survives restarts of the service.

        Raises ``TimeoutError`` when it is not finished after ``timeout_s``, and ``Unreachable`` when the service stays
        away for minutes.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            search = await self._search_when_back(search_id)
            on_change(search)
            if search["state"] in FINISHED:
                return search
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"search {search_id} is still {search['state']} after {timeout_s} s")
            await asyncio.sleep(poll_s)

    async def events(self, search_id: str, after: int = 0) -> AsyncIterator[Event]:
        """Live events, resumed from the last one seen after a lost connection; ends with the search."""
        while True:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
            path = f"/v1/searches/{search_id}/events"
            try:
                async with self._http.stream("GET", path, headers=headers, timeout=httpx.Timeout(30.0)) as answer:
                    if answer.is_error and answer.status_code not in RETRY_STATUS:
                        await answer.aread()
                        checked(answer)
                    async for line in answer.aiter_lines():
                        if line.startswith("data:"):
                            event = json.loads(line[5:])
                            after = event["seq"]
                            yield event
                lost = answer.is_error
            except httpx.TransportError:
                lost = True
            if lost:
                await asyncio.sleep(client_http.delay_s(2, None))
            search = await self._search_when_back(search_id)
            if search["state"] in FINISHED and not (await self.get(path, after=after))["items"]:
                return

    async def _search_when_back(self, search_id: str) -> Search:
        """The search, from a service that may be restarting."""
        deadline = time.monotonic() + client_http.RESTART_S
        while True:
            try:
                return await self.search(search_id)
            except Unreachable:
                if time.monotonic() > deadline:
                    raise

    # --- what a search has found ---

    def trials(
        self, search_id: str, *, stage: str | None = None, state: str | None = None, sort: str | None = None
    ) -> AsyncIterator[Trial]:
        """Trials of a search; a leading minus sorts downwards."""
        return self.pages(f"/v1/searches/{search_id}/trials", stage=stage, state=state, sort=sort, page_size=1000)

    async def trial(self, trial_id: str) -> TrialDetail:
        return await self.get(f"/v1/trials/{trial_id}")

    async def front(
        self, search_id: str, stage: str | None = None, *, at_evaluation: int | None = None, device: str | None = None
    ) -> Front:
        """The front, now or after a number of evaluations, with latencies of its own or another device."""
        path = f"/v1/searches/{search_id}/front"
        return await self.get(path, stage=stage, at_evaluation=at_evaluation, device=device)

    def measurements(self, search_id: str) -> AsyncIterator[Measurement]:
        return self.pages(f"/v1/searches/{search_id}/measurements", page_size=1000)

    async def architecture(self, architecture_hash: str) -> Architecture:
        return await self.get(f"/v1/architectures/{architecture_hash}")

    # --- what searches use ---

    def spaces(self) -> AsyncIterator[Space]:
        return self.pages("/v1/search-spaces")

    async def store_space(self, document: Mapping[str, Any]) -> Space:
        """Store a document; equal documents have one id."""
        return await self.post("/v1/search-spaces", {"document": document})

    async def check_space(self, document: Mapping[str, Any]) -> Json:
        """Size and costs of a document; ``ApiError`` lists what is wrong with it. Nothing is stored."""
        return await self.post("/v1/search-space-checks", {"document": document})

    async def sample(self, space_id: str, count: int = 10, seed: int = 0) -> list[CostedArchitecture]:
        """Architectures drawn uniformly; equal seeds draw equal ones."""
        return (await self.get(f"/v1/search-spaces/{space_id}/samples", count=count, seed=seed))["items"]

    async def costs(self, space_id: str, architectures: Sequence[Mapping[str, Any]]) -> list[CostedArchitecture]:
        """Exact costs of architectures given by their choices."""
        return (await self.post(f"/v1/search-spaces/{space_id}/costs", {"architectures": list(architectures)}))["items"]

    def datasets(self) -> AsyncIterator[Dataset]:
        return self.pages("/v1/datasets")

    def devices(self) -> AsyncIterator[Device]:
        return self.pages("/v1/devices")

    def tables(self) -> AsyncIterator[Table]:
        return self.pages("/v1/tables")

    async def table(self, id_or_name: str) -> Table:
        return await self.get(f"/v1/tables/{id_or_name}")

    async def add_table(
        self,
        definition: Mapping[str, Any],
        rows: Iterable[Sequence[Any]],
        *,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> Table:
        """Send a table in pieces and seal it; ``on_progress`` sees the number of rows sent. Rows are lists in the order
        of the definition's columns: choices, fidelity, replicate, metrics; None is a missing value."""
        upload = await self.post("/v1/tables", definition)
        num_rows = 0
        for piece in pieces(rows):
            body = {"first_row": num_rows, "rows": piece}
            num_rows = (await self.post(f"/v1/table-uploads/{upload['id']}/rows", body))["num_rows"]
            on_progress(num_rows)
        return await self.post(f"/v1/table-uploads/{upload['id']}/seal")

    def supernets(self) -> AsyncIterator[Supernet]:
        return self.pages("/v1/supernets")

    async def supernet_curves(self, supernet_id: str) -> Json:
        """Learning curves of the largest, the smallest and random subnets."""
        return await self.get(f"/v1/supernets/{supernet_id}/curves")

    async def methods(self) -> Json:
        """Everything a request may name, with JSON Schemas of the parameters."""
        return await self.get("/v1/methods")

    # --- keys ---

    async def keys(self) -> list[Key]:
        return (await self.get("/v1/keys"))["items"]

    async def create_key(self, name: str, scopes: Sequence[str], expires_in_s: int | None = 7_776_000) -> NewKey:
        """Make a key. Not tried again after a broken connection: the secret of the first try would be lost."""
        body = {"name": name, "scopes": list(scopes), "expires_in_s": expires_in_s}
        return (await self.request("POST", "/v1/keys", body=body, once=True)).json()

    async def revoke_key(self, key_id: str) -> None:
        await self.request("DELETE", f"/v1/keys/{key_id}", once=True)

    # --- exports ---

    async def create_export(self, trial_id: str) -> Export:
        """Ask for the files of a trial's network; asking again gives the same export."""
        return await self.post("/v1/exports", {"trial_id": trial_id})

    async def wait_for_export(self, export_id: str, *, timeout_s: float = 600.0) -> Export:
        """The export once its files are there; ``ApiError`` with the reason if it failed."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            export: Export = await self.get(f"/v1/exports/{export_id}")
            if export["state"] == "ready":
                return export
            if export["state"] in ("failed", "cancelled"):
                raise ApiError({"status": 500, "code": "export_failed", "detail": str(export["error"])})
            await asyncio.sleep(0.3)
        raise TimeoutError(f"export {export_id} is not ready after {timeout_s} s")

    async def download(self, export: Export, folder: Path) -> list[Path]:
        """All files of a ready export into ``folder``; continues partial files and verifies each SHA-256."""
        folder.mkdir(parents=True, exist_ok=True)
        files = export["files"] or []
        for file in files:
            if Path(file["name"]).name != file["name"]:
                raise ApiError({"status": 500, "code": "file_name", "detail": f"{file['name']!r} is no plain name"})
        return [await self._download_file(export["id"], file, folder / file["name"]) for file in files]

    async def _download_file(self, export_id: str, file: Mapping[str, Any], target: Path) -> Path:
        partial = target.with_name(target.name + ".part")
        for attempt in range(1, MAX_TRIES + 1):
            have = partial.stat().st_size if partial.exists() else 0
            headers = {"Accept": "*/*"} | ({"Range": f"bytes={have}-"} if 0 < have < file["size_bytes"] else {})
            path = f"/v1/exports/{export_id}/files/{file['name']}"
            try:
                async with self._http.stream("GET", path, headers=headers) as got:
                    if got.is_error:
                        await got.aread()
                    if got.status_code in RETRY_STATUS and attempt < MAX_TRIES:
                        await asyncio.sleep(client_http.delay_s(attempt, got.headers.get("retry-after")))
                        continue
                    checked(got)
                    with partial.open("ab" if got.status_code == 206 else "wb") as out:
                        async for chunk in got.aiter_bytes():
                            out.write(chunk)
            except httpx.TransportError as error:
                if attempt == MAX_TRIES:
                    raise Unreachable(f"the download of {file['name']} broke off: {error}") from error
                await asyncio.sleep(client_http.delay_s(attempt, None))
                continue
            if await asyncio.to_thread(_sha256, partial) == file["sha256"]:
                return partial.rename(target)
            partial.unlink()
        raise ApiError({"status": 500, "code": "checksum", "detail": f"{file['name']} does not match its SHA-256"})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
