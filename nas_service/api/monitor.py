"""What Prometheus scrapes: requests of this process, and the states of work."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nas_service.domain.states import JOB_KINDS
from nas_service.storage.gauges import Gauges


class Monitor:
    """The metrics of one process; states of work are given at each scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter("nas_http_requests_total", "Requests answered.", "method", "route", "status")
        self._seconds = Histogram(
            "nas_http_request_duration_seconds", "Time to answer.", ["route"], registry=self.registry
        )
        self._searches = self._gauge("nas_searches", "Searches by state.", "state")
        self._trials = self._gauge("nas_trials", "Trials by state.", "state")
        self._jobs = self._gauge("nas_jobs", "Jobs by kind and state.", "kind", "state")
        self._depth = self._gauge("nas_queue_depth", "Jobs that could run now and wait.", "kind")
        self._oldest = self._gauge("nas_queue_oldest_age_seconds", "Age of the oldest job that could run and waits.")
        self._lease_age = self._gauge("nas_lease_oldest_age_seconds", "Time since the oldest claim that is still held.")
        self._expired = self._gauge("nas_leases_expired", "Leases that ended and that nobody has freed yet.")
        self._disk = self._gauge("nas_disk_free_bytes", "Free space of the artifact store.")
        self._streams = self._gauge("nas_sse_clients", "Open event streams.")

    def observe(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(duration_s)

    def text(self, now: Gauges, num_streams: int, free_bytes: int | None) -> bytes:
        """The Prometheus text format. ``free_bytes`` is None while there is no artifact store."""
        for gauge, counts in ((self._searches, now.searches), (self._trials, now.trials)):
            gauge.clear()
            for state, count in counts.items():
                gauge.labels(state).set(count)
        self._jobs.clear()
        for (kind, state), count in now.jobs.items():
            self._jobs.labels(kind, state).set(count)
        self._depth.clear()
        for kind in JOB_KINDS:
            self._depth.labels(kind).set(now.queue_depth.get(kind, 0))
        self._oldest.set(now.oldest_queued_s)
        self._lease_age.set(now.oldest_lease_s)
        self._expired.set(now.leases_expired)
        if free_bytes is not None:
            self._disk.set(free_bytes)
        self._streams.set(num_streams)
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)
