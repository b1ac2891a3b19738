"""What identifies the machine that latencies were measured on, and how busy it was. Linux; absent facts are null."""

import hashlib
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

_LIBRARIES = ("torch", "onnxruntime", "numpy")


def machine_fingerprint() -> dict[str, Any]:
    """Facts that stay the same from one measurement to the next, and `id`, 16 hex digits of their sha256."""
    facts: dict[str, Any] = {
        "cpu_model": _cpu_model(),
        "architecture": platform.machine(),
        "num_cores": os.cpu_count(),
        "num_usable_cores": num_usable_cores(),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_bytes": _memory_bytes(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: version_of(name) for name in _LIBRARIES},
    }
    facts["id"] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    return facts


def host_id() -> str:
    """The machine itself, until it starts anew: nodes and containers on one machine share it, and its processors."""
    return _first_line("/proc/sys/kernel/random/boot_id") or platform.node()


def num_usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> float | None:
    """Processes that ran or waited, averaged over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def version_of(library: str) -> str | None:
    """Installed version of a library, without importing it."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or None


def _memory_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
