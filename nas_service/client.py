"""Python client of the REST API: retries what is safe to repeat, pages through lists, resumes downloads.

from nas_service.client import Client
with Client("http://127.0.0.1:8000", key) as nas:
    search = nas.create_search({"name": "digits", "space": "digits-mobile", "dataset": "digits", ...})
    for event in nas.events(search["id"]): ...
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

RETRY_STATUS = frozenset({429, 502, 503, 504})
MAX_TRIES = 5
FINISHED = frozenset({"succeeded", "failed", "cancelled"})


class ApiError(Exception):
    """The service refused or failed; ``problem`` is its problem document (RFC 9457)."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self.problem = problem
        self.status = int(problem.get("status", 0))
        self.code = str(problem.get("code", "unknown"))
        super().__init__(problem.get("detail") or problem.get("title") or f"HTTP {self.status}")

    @property
    def fields(self) -> list[dict[str, str]]:
        """What is wrong, one entry per field: ``pointer``, ``code``, ``message`` and perhaps ``suggestion``."""
        return self.problem.get("errors", [])


class Unreachable(Exception):
    """No connection to the service, also after the retries."""


class Client:
    """One connection pool to one service. Every POST carries an idempotency key, so a retry never creates twice."""

    def __init__(self, base_url: str, key: str, *, timeout_s: float = 30.0) -> None:
        self._http = httpx.Client(
            base_url=base_url,
            timeout=httpx.Timeout(timeout_s, connect=5.0),
            headers={"Authorization": f"Bearer {key}", "Accept": "application/json"},
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def request(self, method: str, path: str, body: Any = None, params: dict[str, Any] | None = None) -> Any:
        """The JSON answer of one request; tried again after 429, 502, 503, 504 and broken connections.

        Raises ``ApiError`` for any other refusal and ``Unreachable`` when no answer came.
        """
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        for attempt in range(1, MAX_TRIES + 1):
            try:
                answer = self._http.request(method, path, json=body, params=params, headers=headers)
            except httpx.TransportError as error:
                if attempt == MAX_TRIES:
                    raise Unreachable(f"no answer from {self._http.base_url}: {error}") from error
                time.sleep(_delay_s(attempt, None))
                continue
            if answer.status_code in RETRY_STATUS and attempt < MAX_TRIES:
                time.sleep(_delay_s(attempt, answer.headers.get("retry-after")))
                continue
            return _json(answer)
        raise AssertionError("the last try returns or raises")

    def get(self, path: str, **params: Any) -> Any:
        return self.request("GET", path, params={name: value for name, value in params.items() if value is not None})

    def post(self, path: str, body: Any = None) -> Any:
        return self.request("POST", path, body={} if body is None else body)

    def pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """All items of a list, page by page."""
        token = None
        while True:
            page = self.get(path, **params, page_token=token)
            yield from page["items"]
            token = page.get("next_page_token")
            if not token:
                return

    def create_search(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.post("/v1/searches", request)

    def search(self, search_id: str) -> dict[str, Any]:
        return self.get(f"/v1/searches/{search_id}")

    def front(self, search_id: str, stage: str | None = None, **params: Any) -> dict[str, Any]:
        return self.get(f"/v1/searches/{search_id}/front", stage=stage, **params)

    def wait(
        self,
        search_id: str,
        *,
        timeout_s: float | None = None,
        on_change: Callable[[dict[str, Any]], None] = lambda _: None,
        poll_s: float = 0.5,
    ) -> dict[str, Any]:
        """Follow a search to its end; ``on_change`` sees each poll's answer. Survives restarts of the service.

        Raises ``TimeoutError`` when it is not finished after ``timeout_s``.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            search = self.search(search_id)
            on_change(search)
            if search["state"] in FINISHED:
                return search
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"search {search_id} is still {search['state']} after {timeout_s} s")
            time.sleep(poll_s)

    def events(self, search_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """Live events, resumed from the last one seen after a lost connection; ends with the search."""
        while True:
            headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
            try:
                with self._http.stream(
                    "GET", f"/v1/searches/{search_id}/events", headers=headers, timeout=httpx.Timeout(30.0)
                ) as answer:
                    if answer.is_error:
                        answer.read()
                        _json(answer)
                    for line in answer.iter_lines():
                        if line.startswith("data:"):
                            event = json.loads(line[5:])
                            if "seq" in event:
                                after = event["seq"]
                                yield event
            except httpx.TransportError:
                time.sleep(1.0)
            if self.search(search_id)["state"] in FINISHED and not self._newer(search_id, after):
                return

    def _newer(self, search_id: str, after: int) -> bool:
        return bool(self.get(f"/v1/searches/{search_id}/events", after=after)["items"])

    def wait_for_export(self, export_id: str, *, timeout_s: float = 600.0) -> dict[str, Any]:
        """The export once its files are there; ``ApiError`` with the reason if it failed."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            export = self.get(f"/v1/exports/{export_id}")
            if export["state"] == "ready":
                return export
            if export["state"] in ("failed", "cancelled"):
                raise ApiError({"status": 500, "code": "export_failed", "detail": str(export["error"])})
            time.sleep(0.3)
        raise TimeoutError(f"export {export_id} is not ready after {timeout_s} s")

    def download(self, export: dict[str, Any], folder: Path) -> list[Path]:
        """All files of a ready export into ``folder``; continues partial files and verifies each SHA-256."""
        folder.mkdir(parents=True, exist_ok=True)
        return [self._download_file(export["id"], file, folder / file["name"]) for file in export["files"]]

    def _download_file(self, export_id: str, file: dict[str, Any], target: Path) -> Path:
        partial = target.with_name(target.name + ".part")
        for attempt in range(1, MAX_TRIES + 1):
            have = partial.stat().st_size if partial.exists() else 0
            headers = {"Accept": "*/*"} | ({"Range": f"bytes={have}-"} if 0 < have < file["size_bytes"] else {})
            try:
                with self._http.stream("GET", f"/v1/exports/{export_id}/files/{file['name']}", headers=headers) as got:
                    if got.is_error:
                        got.read()
                        _json(got)
                    with partial.open("ab" if got.status_code == 206 else "wb") as out:
                        for chunk in got.iter_bytes():
                            out.write(chunk)
            except httpx.TransportError as error:
                if attempt == MAX_TRIES:
                    raise Unreachable(f"the download of {file['name']} broke off: {error}") from error
                time.sleep(_delay_s(attempt, None))
                continue
            if _sha256(partial) == file["sha256"]:
                return partial.rename(target)
            partial.unlink()
        raise ApiError({"status": 500, "code": "checksum", "detail": f"{file['name']} does not match its SHA-256"})


def _json(answer: httpx.Response) -> Any:
    if not answer.is_error:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
    except ValueError:
        problem = {"title": answer.reason_phrase}
    raise ApiError({"status": answer.status_code, **problem})


def _delay_s(attempt: int, retry_after: str | None) -> float:
    if retry_after is not None and retry_after.isdigit():
        return min(float(retry_after), 30.0)
    return min(0.2 * 2**attempt, 5.0) * random.uniform(0.5, 1.5)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
