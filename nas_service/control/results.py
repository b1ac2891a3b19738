"""What comes back from workers, into rows: each in one transaction that first checks the epoch of the claim."""

from __future__ import annotations

import math
from typing import Any

from nas_service.control.inline import record_chunk
from nas_service.domain.search import SearchSpec
from nas_service.storage import devices, estimators, events, exports, jobs, searches, supernets, trials, work
from nas_service.storage.jobs import ClaimedJob
from nas_service.storage.session import Session

# Another try may help; any other reason comes from the work itself and would come again.
RETRIED_REASONS = frozenset({"oom", "timeout", "worker_lost", "latency_device_lost"})


def record_start(session: Session, claim: ClaimedJob) -> None:
    """A worker is about to begin with the job."""
    if not work.holds(session, claim.id, claim.epoch):
        return
    if claim.kind == "train_supernet":
        supernets.set_state(session, str(claim.subject_id), "training")
    elif claim.kind == "export":
        exports.set_state(session, str(claim.subject_id), "running")
    elif claim.kind != "advance":  # whose trials exist only once they are finished
        trials.mark_running(session, claim.id)


def record_report(session: Session, claim: ClaimedJob, report: dict[str, Any]) -> bool:
    """Take in what a worker says while it works; False when the claim is superseded, and then nothing is written."""
    if not work.holds(session, claim.id, claim.epoch):
        return False
    kind = report.get("type")
    if kind == "progress":
        jobs.report_progress(session, claim.id, claim.epoch, {k: v for k, v in report.items() if k != "type"})
    elif kind == "curve" and claim.supernet_id is not None:
        _add_curve_point(session, claim, report)
    elif kind == "result" and claim.kind == "evaluate":
        _record_scores(session, claim, [report])
    return True


def record_done(session: Session, claim: ClaimedJob, result: dict[str, Any]) -> bool:
    """Take in a finished job; False when the claim is superseded, and then nothing is written.

    A job that was interrupted keeps what it has done and is queued again.
    """
    if claim.kind == "advance":  # it writes to the search: locked before the job, as by whoever cancels a search
        searches.lock(session, str(claim.search_id))
    if not work.holds(session, claim.id, claim.epoch):
        return False
    if result.get("interrupted"):
        if claim.kind == "evaluate":
            _record_scores(session, claim, result.get("results", []))
        jobs.release(session, claim.id, claim.epoch)
        return True
    _EFFECTS[claim.kind](session, claim, result)
    return jobs.finish(session, claim.id, claim.epoch, _summary(claim, result))


def record_failure(session: Session, claim: ClaimedJob, reason: str, message: str) -> bool:
    """Take in that a job failed; False when the claim is superseded.

    A batch is not tried again as a whole, since one of it may be at fault: the controller submits its architectures one
    by one. That an attached device is lost is its own fault.
    """
    several = max(len(claim.payload.get("trials", ())), len(claim.payload.get("architectures", ()))) > 1
    retry = reason in RETRIED_REASONS and (reason == "latency_device_lost" or not several)
    return jobs.fail(session, claim.id, claim.epoch, reason, message, retry=retry) is not None


def _train_supernet(session: Session, claim: ClaimedJob, result: dict[str, Any]) -> None:
    supernet_id = str(claim.subject_id)
    known = {(point.subnet, point.step) for point in supernets.curve(session, supernet_id)}
    for point in result["curve"]:  # all of it, earlier attempts included; most came as reports
        if (point["subnet"], point["step"]) not in known:
            _add_curve_point(session, claim, point)
    supernets.set_ready(
        session,
        supernet_id,
        checkpoint=result["checkpoint"],
        train_s=result["train_s"],
        warnings=result["warnings"],
    )
    events.record(session, "supernet.ready", {"supernet_id": supernet_id, "train_s": result["train_s"]})


def _fit_latency(session: Session, claim: ClaimedJob, result: dict[str, Any]) -> None:
    estimator_id = str(claim.subject_id)
    estimators.set_ready(session, estimator_id, document=result["estimator"], held_out=result["held_out"])
    devices.touch(session, estimators.get(session, estimator_id).device_id)
    events.record(session, "latency_estimator.ready", {"estimator_id": estimator_id, "held_out": result["held_out"]})


def _advance(session: Session, claim: ClaimedJob, result: dict[str, Any]) -> None:
    if "chunk" in result:
        record_chunk(session, str(claim.search_id), result["chunk"])


def _evaluate(session: Session, claim: ClaimedJob, result: dict[str, Any]) -> None:
    _record_scores(session, claim, result["results"])


def _measure(session: Session, claim: ClaimedJob, result: dict[str, Any]) -> None:
    search = searches.get(session, str(claim.search_id))
    device_id = estimators.get(session, str(search.estimator_id)).device_id
    facts = {key: value for key, value in result.items() if key != "measurements"}
    for measurement in result["measurements"]:
        trial = trials.get(session, measurement["id"])
        written = trials.write(
            session,
            trial.id,
            job_id=claim.id,
            latency_ms=measurement["latency_ms"],
            latency_p10_ms=measurement["p10_ms"],
            latency_p90_ms=measurement["p90_ms"],
        )
        if written:
            trials.add_measurement(
                session,
                search_id=search.id,
                trial_id=trial.id,
                architecture_hash=trial.architecture_hash,
                device_id=device_id,
                metric="latency_ms",
                value=measurement["latency_ms"],
                p10=measurement["p10_ms"],
                p90=measurement["p90_ms"],
                num_samples=measurement["num_samples"],
                protocol=facts,
            )
    devices.touch(session, device_id)


def _train_network(session: Session, claim: ClaimedJob, result: dict[str, Any]) -> None:
    select = result["metrics"]["select"]
    error = _invalid(select)
    trial_id = claim.payload["network_id"]
    if error is not None:
        _finish_trial(session, claim, trial_id, "failed", error=error)
        return
    seeds = [{"seed": seed["seed"], "metrics": seed["metrics"]} for seed in result["seeds"]]
    trials.write(
        session,
        trial_id,
        job_id=claim.id,
        state="pending",
        accuracy_top1=select["accuracy_top1"],
        loss=select["loss"],
        eval_s=result.get("train_s"),
        metrics={
            **{name: value for name, value in select.items() if name not in ("accuracy_top1", "loss")},
            "test": result["metrics"]["test"],
            "checkpoint": result["checkpoint"],
            "seeds": seeds,
            "summary": result.get("summary"),
        },
    )


def _export(session: Session, claim: ClaimedJob, result: dict[str, Any]) -> None:
    export_id = str(claim.subject_id)
    exports.set_ready(session, export_id, path=result["path"], files=result["files"], parity=result["parity"])
    events.record(session, "export.ready", {"export_id": export_id}, search_id=claim.search_id)


_EFFECTS = {
    "train_supernet": _train_supernet,
    "fit_latency": _fit_latency,
    "advance": _advance,
    "evaluate": _evaluate,
    "measure": _measure,
    "train_network": _train_network,
    "export": _export,
}


def _summary(claim: ClaimedJob, result: dict[str, Any]) -> dict[str, Any]:
    """What the job row keeps: facts of the execution, not what has gone to rows of its own."""
    stored = {"results", "measurements", "chunk", "curve", "seeds", "estimator", "files"}
    return {key: value for key, value in result.items() if key not in stored}


def _record_scores(session: Session, claim: ClaimedJob, results: list[dict[str, Any]]) -> None:
    """Scores of trials on the split of the job; results that came before change nothing."""
    split = claim.payload["split"]
    spec = SearchSpec.from_json(searches.get(session, str(claim.search_id)).spec)
    for item in results:
        error = item.get("error") or _invalid(item["metrics"])
        if split == "test":
            trials.write(
                session, item["id"], job_id=claim.id, metrics={"test": item.get("metrics") or {"error": error}}
            )
        elif error is not None:
            _finish_trial(session, claim, item["id"], "failed", error=error)
        else:
            _record_score(session, claim, spec, split, item)


def _record_score(session: Session, claim: ClaimedJob, spec: SearchSpec, split: str, item: dict[str, Any]) -> None:
    scores = item["metrics"]
    values = {
        "accuracy_top1": scores["accuracy_top1"],
        "loss": scores["loss"],
        "eval_s": item["eval_s"],
        "metrics": {key: value for key, value in scores.items() if key not in ("accuracy_top1", "loss")},
    }
    if split == "select":  # the controller decides about finalists once everything is known
        trials.write(session, item["id"], job_id=claim.id, state="pending", **values)
        return
    broken = spec.violations(scores)
    error = {"reason": "constraint", "violations": broken} if broken else None
    _finish_trial(session, claim, item["id"], "infeasible" if broken else "succeeded", error=error, **values)


def _finish_trial(session: Session, claim: ClaimedJob, trial_id: str, state: str, **values: Any) -> None:
    if trials.write(session, trial_id, job_id=claim.id, state=state, **values):
        data = {"trial_id": trial_id, "state": state, "accuracy_top1": values.get("accuracy_top1")}
        events.record(session, "trial.finished", data, search_id=claim.search_id)


def _invalid(metrics: dict[str, Any]) -> dict[str, Any] | None:
    """Why these scores cannot be true, or None."""
    accuracy, loss = metrics.get("accuracy_top1"), metrics.get("loss")
    for name, value, high in (("accuracy_top1", accuracy, 1.0), ("loss", loss, math.inf)):
        if not isinstance(value, (int, float)) or not math.isfinite(value) or not 0 <= value <= high:
            return {"reason": "invalid_metric", "message": f"{name} is {value}"}
    return None


def _add_curve_point(session: Session, claim: ClaimedJob, point: dict[str, Any]) -> None:
    supernets.add_curve_point(
        session,
        str(claim.supernet_id),
        subnet=point["subnet"],
        step=point["step"],
        epoch=claim.epoch,
        accuracy_top1=point["accuracy_top1"],
        loss=point["loss"],
    )
