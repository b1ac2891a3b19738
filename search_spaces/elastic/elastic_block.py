"""The elastic form of any block: the widest module's weights, run through the plain module of the active shape.

For every active shape there is a *skeleton*: the plain module built without storage. A forward pass
lends it slices (views) of the widest weights, calls it, and takes them back. So the active forward is
the plain module's own forward, and extraction is a copy of the same slices.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

import torch
from torch import nn

from search_spaces.elastic.initialise import initialise
from search_spaces.elastic.lending import Account, Loan, before_backward
from search_spaces.elastic.lent_linear import lent_class
from search_spaces.elastic.registry import MODULES
from search_spaces.elastic.slicing import KernelTransform, slice_index, spatial_from
from search_spaces.network import Envelope, largest_shape, options_up_to_largest
from search_spaces.shapes import Shape

MAX_SKELETONS = 512


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A plain module without storage, its loans, and pairs of leaves whose settings must agree.

    `pattern` is a twin of the module that is never called, and so has the settings it was built with. No other
    skeleton of the process has its `number`.
    """

    module: nn.Module
    pattern: nn.Module
    loans: tuple[Loan, ...]
    norms: tuple[tuple[nn.BatchNorm2d, nn.BatchNorm2d], ...]
    dropouts: tuple[tuple[nn.Dropout, nn.Dropout], ...]
    number: int = field(default_factory=count().__next__)

    @property
    def accounts(self) -> list[Account]:
        """Accounts of the tensors of which a part is lent."""
        return [loan.account for loan in self.loans if loan.index is not None]


def module_arguments(block: str, inputs: tuple[Shape, ...], params: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments of the plain module of a block."""
    return MODULES[block].arguments(inputs, params)


def twin(module: nn.Module) -> nn.Module:
    """A module of the same structure and settings over the same tensors; costs less than building one."""
    copy = module.__new__(type(module))
    copy.__dict__ = {
        name: value.copy() if isinstance(value, (dict, set)) else value for name, value in vars(module).items()
    }
    for name, child in module._modules.items():
        copy._modules[name] = None if child is None else twin(child)
    return copy


def widest_module(envelope: Envelope) -> nn.Module:
    """A module that holds the tensors of every member of the envelope, numbers at their largest.

    Every option of a truth value or a word may bring layers of its own: they are added beside the others.
    """
    spec = MODULES[envelope.block]
    inputs = tuple(largest_shape(shapes) for shapes in envelope.in_shapes)
    params = {name: options_up_to_largest(values)[-1] for name, values in envelope.params.items()}
    widest = spec.cls(**spec.widen(spec.arguments(inputs, params), envelope))
    for name, values in envelope.params.items():
        for value in options_up_to_largest(values)[:-1]:
            if isinstance(value, (bool, str)):
                variant = spec.arguments(inputs, params | {name: value})
                _absorb(widest, spec.cls(**spec.widen(variant, envelope)))
    return widest


def _absorb(widest: nn.Module, variant: nn.Module) -> None:
    """Give `widest` the tensors that only `variant` has."""
    for path, leaf in variant.named_modules():
        if not path:
            owner = widest
        else:
            try:
                owner = widest.get_submodule(path)
            except AttributeError:
                owner = nn.Identity()
            if not owner.state_dict() and leaf.state_dict():
                widest.set_submodule(path, leaf)
                continue
        for name, parameter in leaf._parameters.items():
            if parameter is not None and owner._parameters.get(name) is None:
                owner.register_parameter(name, parameter)


class ElasticBlock(nn.Module):
    """Holds the weights of one weight key at their widest; `skeleton(...)` selects what is active.

    Parameters have the names that they have in the plain module; matrices of kernel transforms are
    extra, under `kernel_transforms`.
    """

    def __init__(self, envelope: Envelope, seed: int) -> None:
        super().__init__()
        self.weight_key = envelope.key
        self.kind = envelope.block
        spec = MODULES[envelope.block]
        widest = widest_module(envelope)
        initialise(widest, seed, envelope.key)
        for name, parameter in widest.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, child in widest.named_children():
            self.add_module(name, child)
        self.last_norm = spec.last_norm
        self.kernel_transforms = nn.ParameterDict()
        self._kernels: tuple[int, ...] = ()
        if any(envelope.params.get("kernel_transform", ())):
            self._add_kernel_transforms(envelope)
        self._skeletons: OrderedDict[tuple[Any, ...], Skeleton] = OrderedDict()
        self._accounts: dict[str, Account] = {}

    def _add_kernel_transforms(self, envelope: Envelope) -> None:
        self._kernels = tuple(
            sorted({size for size in envelope.params["kernel"] if isinstance(size, int)}, reverse=True)
        )
        for path, leaf in self.named_modules():
            if isinstance(leaf, nn.Conv2d) and leaf.kernel_size[0] == self._kernels[0] > 1:
                for large, small in pairwise(self._kernels):
                    name = self._transform_name(path, large, small)
                    self.kernel_transforms[name] = nn.Parameter(torch.eye(small * small))

    @staticmethod
    def _transform_name(path: str, large: int, small: int) -> str:
        return f"{path.replace('.', '_')}_{large}to{small}"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_skeletons": OrderedDict(), "_accounts": {}}

    def skeleton(self, inputs: tuple[Shape, ...], params: Mapping[str, Any]) -> Skeleton:
        """The skeleton of the given shape; built once and kept (least recently used goes first)."""
        arguments = module_arguments(self.kind, inputs, params)
        transforms = bool(params.get("kernel_transform", False))
        identity = (*arguments.values(), transforms)
        found = self._skeletons.get(identity)
        if found is None:
            found = self._build(arguments, transforms)
            self._skeletons[identity] = found
            if len(self._skeletons) > MAX_SKELETONS:
                self._skeletons.popitem(last=False)
        else:
            self._skeletons.move_to_end(identity)
        return found

    def _build(self, arguments: dict[str, Any], transforms: bool) -> Skeleton:
        with torch.device("meta"):
            pattern = MODULES[self.kind].cls(**arguments)
        module = twin(pattern)
        loans: list[Loan] = []
        norms: list[tuple[nn.BatchNorm2d, nn.BatchNorm2d]] = []
        dropouts: list[tuple[nn.Dropout, nn.Dropout]] = []
        for path, leaf in module.named_modules():
            try:
                owner = self.get_submodule(path)
            except AttributeError:
                owner = nn.Identity()
            if isinstance(leaf, nn.BatchNorm2d) and isinstance(owner, nn.BatchNorm2d):
                norms.append((leaf, owner))
            if isinstance(leaf, nn.Dropout) and isinstance(owner, nn.Dropout):
                dropouts.append((leaf, owner))
            leaf.__class__ = lent_class(leaf)
            # Children, as what is lent, are found among plain attributes: the search of `nn.Module.__getattr__` takes
            # longer than a small layer's share of a pass.
            vars(leaf).update(leaf._modules)
            for name, empty in (*leaf._parameters.items(), *leaf._buffers.items()):
                if empty is not None:
                    loans.append(self._loan(path, name, leaf, owner, empty, transforms))
        return Skeleton(module, pattern, tuple(loans), tuple(norms), tuple(dropouts))

    def _loan(
        self, path: str, name: str, leaf: nn.Module, owner: nn.Module, empty: torch.Tensor, transforms: bool
    ) -> Loan:
        source: dict[str, Any] = owner._parameters if name in leaf._parameters else owner._buffers
        if source.get(name) is None:
            raise ValueError(f"{self.weight_key}: the widest module has no tensor {path}.{name}")
        full, part, transform = source[name].shape, empty.shape, None
        if transforms and spatial_from(leaf, name) is not None and full[-1] != part[-1]:
            # The chain of matrices crops the kernel itself, so here only channels are cut.
            chain = tuple(size for size in self._kernels if size >= part[-1])
            names = tuple(self._transform_name(path, large, small) for large, small in pairwise(chain))
            transform = KernelTransform(chain, names)
            part = torch.Size((*part[:2], *full[2:]))
        index = slice_index(full, part, spatial_from(leaf, name))
        account = self._accounts.setdefault(f"{path}.{name}", Account())
        return Loan(path, name, vars(leaf), source, empty, index, transform, account)

    def lent(self, loan: Loan, learns: bool) -> torch.Tensor:
        """The tensor of a loan: a part of the widest weights, or a transformed kernel."""
        tensor = loan.part(learns)
        return tensor if loan.transform is None else loan.transform(tensor, self.kernel_transforms)

    def forward(self, skeleton: Skeleton, *inputs: torch.Tensor) -> torch.Tensor:
        """Forward pass of the active shape by itself."""
        output = self.run(skeleton, *inputs)
        if torch.is_grad_enabled() and output.requires_grad:
            output.register_hook(before_backward(skeleton.accounts))
        return output

    def run(self, skeleton: Skeleton, *inputs: torch.Tensor) -> torch.Tensor:
        """Forward pass as a part of a larger one, to whose output `before_backward` is to be hooked."""
        module = skeleton.module
        if module.training != self.training:
            module.train(self.training)
        for leaf, owner in skeleton.norms:
            if leaf.momentum != owner.momentum or leaf.training != owner.training:
                leaf.momentum, leaf.training = owner.momentum, owner.training
        for dropout, owner_dropout in skeleton.dropouts:
            if dropout.p != owner_dropout.p or dropout.training != owner_dropout.training:
                dropout.p, dropout.training = owner_dropout.p, owner_dropout.training
        learns = torch.is_grad_enabled()
        for loan in skeleton.loans:
            loan.target[loan.name] = self.lent(loan, learns)
        try:
            output: torch.Tensor = module(*inputs)
        finally:
            for loan in skeleton.loans:
                loan.target[loan.name] = loan.empty
        return output

    @torch.no_grad()
    def extracted(self, skeleton: Skeleton) -> nn.Module:
        """An independent plain module of the active shape with copies of the active tensors."""
        module = twin(skeleton.pattern)
        leaves = dict(module.named_modules())
        for loan in skeleton.loans:
            copy = self.lent(loan, learns=False).clone(memory_format=torch.contiguous_format)
            leaf = leaves[loan.path]
            if loan.name in leaf._parameters:
                leaf._parameters[loan.name] = nn.Parameter(copy)
            else:
                leaf._buffers[loan.name] = copy
        return module

    def used(self, skeleton: Skeleton) -> Iterator[tuple[str, torch.Tensor]]:
        """Names of the used parameters of this block with boolean masks of their used elements."""
        for loan in skeleton.loans:
            tensor = loan.source[loan.name]
            if not isinstance(tensor, nn.Parameter):
                continue
            mask = torch.zeros(tensor.shape, dtype=torch.bool, device=tensor.device)
            view = mask if loan.index is None else mask[loan.index]
            if loan.transform is not None:
                size = loan.transform.sizes[1]
                start = (view.shape[-1] - size) // 2
                view = view[:, :, start : start + size, start : start + size]
                for name in loan.transform.names:
                    matrix = self.kernel_transforms[name]
                    yield f"kernel_transforms.{name}", torch.ones_like(matrix, dtype=torch.bool)
            view.fill_(True)
            yield f"{loan.path}.{loan.name}".lstrip("."), mask
