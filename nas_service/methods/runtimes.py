"""What latency can be measured with: runtimes, the settings of a device and the settings of the protocol."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


@dataclass(frozen=True)
class Runtime:
    """A way to execute a network; its implementation is `workers/measure/NAME_runner.py`."""

    name: str
    help: str
    dtypes: tuple[str, ...]
    processors: tuple[str, ...]


RUNTIMES: dict[str, Runtime] = {
    "torch": Runtime(
        "torch",
        "PyTorch without a compiler, as the network runs in Python; on CUDA timed by device events",
        ("float32", "bfloat16", "float16"),
        ("cpu", "cuda"),
    ),
    "onnxruntime": Runtime(
        "onnxruntime",
        "ONNX Runtime on the file that an export contains; folds and fuses layers, usually several times faster",
        ("float32",),
        ("cpu",),
    ),
}


class DeviceSettings(BaseModel):
    """How a device executes networks; two measurements compare only when all of these are equal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("local-cpu", max_length=100, description="Name of the device")
    runtime: Literal["torch", "onnxruntime"] = Field("torch", description="What executes the network")
    processor: Literal["cpu", "cuda"] = Field("cpu", description="Where in the device")
    threads: int = Field(1, ge=1, le=1024, description="Threads inside one operator (CPU)")
    batch_size: int = Field(1, ge=1, le=65_536, description="Examples per call")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="Number format")

    @model_validator(mode="after")
    def _supported(self) -> "DeviceSettings":
        runtime = RUNTIMES[self.runtime]
        if self.dtype not in runtime.dtypes:
            raise ValueError(f"{self.runtime} runs {', '.join(runtime.dtypes)}, not {self.dtype}")
        if self.processor not in runtime.processors:
            raise ValueError(f"{self.runtime} runs on {', '.join(runtime.processors)}, not on {self.processor}")
        return self


class MeasureProtocol(BaseModel):
    """How often and for how long each network is timed.

    Each of `num_processes` fresh processes makes `num_rounds` rounds. In a round every network gets one block of calls,
    in a new random order, and the reference network is timed before, between and after them. A round during which the
    reference changed by more than `max_drift` is made again, up to `max_repeats` times per process. Networks that take
    long get fewer calls (`enough_s`): the median of few long calls varies less than that of as many short ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_processes: int = Field(2, ge=1, le=20, description="Fresh processes, one after another")
    num_rounds: int = Field(5, ge=1, le=1000, description="Rounds kept in each process")
    min_samples: int = Field(5, ge=1, le=100_000, description="Timed calls per network and round, at least")
    min_duration_s: float = Field(0.004, ge=0, le=600, description="Duration of those calls, at least")
    warmup_calls: int = Field(10, ge=1, le=100_000, description="Untimed calls per network and process, at least")
    warmup_s: float = Field(0.02, ge=0, le=600, description="Duration of those calls, at least")
    enough_s: float = Field(
        0.25, gt=0, le=600, description="Warm-up and calls of a round end after this long, however few they are"
    )
    reference_every: int = Field(8, ge=1, le=1000, description="Networks between two timings of the reference")
    max_drift: float = Field(0.03, gt=0, le=1, description="Relative change of the reference that spoils a round")
    max_repeats: int = Field(3, ge=0, le=1000, description="Spoilt rounds made again, per process")
    time_limit_s: float = Field(600.0, gt=0, le=86_400, description="A process that takes longer is stopped")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of order and input")
