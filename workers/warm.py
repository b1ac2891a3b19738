"""What a worker process keeps between jobs: compiled spaces, data sets on the device, supernets with weights."""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch

from nas_service.datasets.store import DatasetStore
from search_spaces.elastic.supernet import Supernet
from search_spaces.language.document import parse_document
from search_spaces.space import SearchSpace
from workers.context import WorkContext
from workers.training.checkpoint import open_checkpoint
from workers.training.data import DeviceData
from workers.training.optimise import load_tensors
from workers.training.shared_scores import SharedScores

T = TypeVar("T")


class LeastRecentlyUsed:
    """A small cache that forgets what was not asked for longest; values may be large, so the limit is a count."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value kept under `key`, made first if it is not there; a failed `make` leaves nothing behind."""
        with self._lock:
            if key not in self._kept:
                # Forget before making, so that the limit holds while both would be in memory.
                while len(self._kept) >= self._limit:
                    self._kept.popitem(last=False)
                self._kept[key] = make()
            self._kept.move_to_end(key)
            return cast(T, self._kept[key])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()


@dataclass(frozen=True)
class WarmSupernet:
    """A supernet with the weights of one checkpoint, and the data set it is scored on."""

    space: SearchSpace
    supernet: Supernet
    data: DeviceData
    scores: SharedScores


_spaces = LeastRecentlyUsed(8)
_data = LeastRecentlyUsed(2)
_supernets = LeastRecentlyUsed(2)


def warm_space(document: dict[str, Any]) -> SearchSpace:
    """The compiled space of a document; SpaceError if it is not valid."""
    key = json.dumps(document, sort_keys=True)
    return _spaces.get(key, lambda: SearchSpace.from_document(parse_document(document)))


def warm_data(fingerprint: str, context: WorkContext) -> DeviceData:
    """The data set on the context's device; DatasetError if it is not in the store or damaged."""
    key = (str(context.datasets), fingerprint, context.device)
    device = torch.device(context.device)
    return _data.get(key, lambda: DeviceData(DatasetStore(context.datasets).load(fingerprint), device))


def warm_supernet(
    supernet: dict[str, Any], document: dict[str, Any], fingerprint: str, context: WorkContext
) -> WarmSupernet:
    """Supernet `{id, checkpoint: {path, sha256}}` of a space document, verified, loaded and on the device.

    Users must leave its weights and buffers as they found them. CheckpointError if it is missing or damaged.
    """
    reference = supernet["checkpoint"]
    space = warm_space(document)
    data = warm_data(fingerprint, context)

    def load() -> WarmSupernet:
        checkpoint = open_checkpoint(context.resolve(reference["path"]), reference["sha256"])
        net = Supernet(space)
        load_tensors(net, checkpoint.weights())
        net.to(data.device).eval()
        return WarmSupernet(space, net, data, SharedScores(net, data))

    key = (str(context.artifacts), supernet["id"], reference["sha256"], space.id, fingerprint, context.device)
    return _supernets.get(key, load)


def forget() -> None:
    """Give back the memory of everything kept."""
    for cache in (_supernets, _data, _spaces):
        cache.clear()
