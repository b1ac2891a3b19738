"""Job: score a batch of architectures with weights inherited from a supernet."""

import time
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from workers.context import WorkContext
from workers.training.environment import give_back_memory, prepare
from workers.training.errors import reason_of
from workers.training.scoring import Calibration
from workers.warm import WarmSupernet, warm_supernet


class EvaluatedTrial(BaseModel):
    """A trial to score: `genes` (G,) as option indices, -1 where inactive."""

    id: str
    genes: list[int]


class EvaluateJob(BaseModel):
    """Payload of the job; supernet is {id, checkpoint: {path, sha256}}."""

    supernet: dict[str, Any]
    space: dict[str, Any]
    dataset: str
    split: Literal["search", "select", "test"]
    trials: list[EvaluatedTrial]
    calibration: Calibration = Calibration()


def evaluate(payload: dict[str, Any], context: WorkContext) -> dict[str, Any]:
    """Metrics of each trial, in the order given; a trial that fails has an `error` and takes none of the others along.

    The score of an architecture depends on nothing else in the batch: each gets batch-norm statistics from the
    calibrate split and sees the split in the same fixed batches; what two have in common is computed once. The supernet
    itself is never changed, and stays in memory for the next job. When told to stop it returns what is done so far.
    """
    job = EvaluateJob.model_validate(payload)
    prepare(context)
    warm = warm_supernet(job.supernet, job.space, job.dataset, context)
    results: list[dict[str, Any]] = []
    for trial in job.trials:
        if context.should_stop():
            return {"results": results, "interrupted": True}
        result = _evaluate_one(trial, warm, job.split, job.calibration)
        results.append(result)
        context.report({"type": "result", **result})
    return {"results": results, "interrupted": False}


def _evaluate_one(trial: EvaluatedTrial, warm: WarmSupernet, split: str, calibration: Calibration) -> dict[str, Any]:
    started = time.perf_counter()
    error: dict[str, Any]
    try:
        genes = np.asarray(trial.genes, dtype=np.int16)
        if genes.shape != (len(warm.space.genes),) or not warm.space.valid(genes[None])[0]:
            raise ValueError("the genes are no architecture of this space")
        metrics = warm.scores.score(genes, split, calibration)
        return {"id": trial.id, "metrics": metrics, "eval_s": time.perf_counter() - started}
    except Exception as caught:  # one architecture's failure is a result, not the end of the batch
        error = {"reason": reason_of(caught), "message": f"{type(caught).__name__}: {caught}"[:2000]}
    # Only here, with the exception gone: its traceback holds the tensors that took the memory.
    if error["reason"] == "oom":
        warm.scores.forget()
        give_back_memory()
    return {"id": trial.id, "error": error}
