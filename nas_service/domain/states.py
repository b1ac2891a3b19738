"""States of searches, trials, jobs, supernets and exports, and the transitions that are allowed."""

from __future__ import annotations

SEARCH_STATES = ("queued", "running", "pausing", "paused", "succeeded", "failed", "cancelled")
SEARCH_TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
SEARCH_TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"running", "paused", "failed", "cancelled"}),
    "running": frozenset({"pausing", "succeeded", "failed", "cancelled"}),
    "pausing": frozenset({"paused", "running", "failed", "cancelled"}),
    "paused": frozenset({"running", "queued", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
# The phases of a search, in order; ``SearchSpec.phases`` are those that one search goes through.
SEARCH_PHASES = ("supernet", "latency", "search", "finalists", "done")

TRIAL_STATES = ("pending", "running", "succeeded", "infeasible", "failed", "quarantined", "cancelled")
TRIAL_TERMINAL = frozenset({"succeeded", "infeasible", "failed", "quarantined", "cancelled"})

JOB_KINDS = ("train_supernet", "fit_latency", "advance", "evaluate", "train_network", "measure", "export")
JOB_STATES = ("queued", "running", "succeeded", "failed", "quarantined", "cancelled")
JOB_TERMINAL = frozenset({"succeeded", "failed", "quarantined", "cancelled"})

ATTEMPT_OUTCOMES = ("running", "succeeded", "failed", "lost", "released")
END_REASONS = (
    "error",
    "oom",
    "timeout",
    "worker_lost",
    "cancelled",
    "invalid_metric",
    "interrupted",
    "latency_device_lost",
)

SUPERNET_STATES = ("queued", "training", "ready", "failed", "cancelled")
EXPORT_STATES = ("queued", "running", "ready", "failed", "cancelled")
TRIAL_STAGES = ("search", "final")
