"""The supernet beyond the contract of families: names, seeds, copies, resizing, slices, initial function."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from search_spaces.elastic.elastic_block import ElasticBlock
from search_spaces.elastic.plain import build_plain, module_names
from search_spaces.elastic.slicing import slice_index
from search_spaces.elastic.supernet import Supernet
from search_spaces.library_index import load_library
from search_spaces.network import Envelope, Network, Node
from search_spaces.shapes import ImageShape, VectorShape
from tests.contracts.block_contract import complete
from tests.unit.search_spaces.builders import conv, space


@pytest.fixture
def supernet() -> Supernet:
    return Supernet(load_library("digits-mobile"), seed=3).eval()


def random_genes(supernet: Supernet, seed: int = 0) -> np.ndarray:
    return supernet.space.sample(1, np.random.default_rng(seed))[0]


def test_every_tensor_of_a_subnet_has_its_name_in_the_supernet(supernet: Supernet) -> None:
    names = set(supernet.state_dict())
    for genes in (supernet.space.largest(), random_genes(supernet)):
        assert set(supernet.extract(genes).state_dict()) <= names


@pytest.mark.parametrize("family", ["digits-mobile", "digits-cell", "digits-fabric", "darts-cell", "table-transformer"])
def test_its_size_is_known_without_it(family: str) -> None:
    space = load_library(family)
    assert space.supernet_params() == sum(parameter.numel() for parameter in Supernet(space).parameters())


def test_a_residual_ends_as_wide_as_it_began_however_its_body_derives_widths() -> None:
    widen = {"let": {"e": {"one_of": [2, 3, 5]}}, "residual": [conv(out="=in * e"), conv(out="=in // e")]}
    found = space([conv(out={"one_of": [16, 24]}), {"repeat": {"count": 12, "body": [widen]}}])
    for key, envelope in found.envelopes().items():
        if key.endswith("conv_bn_act"):
            assert {shape.channels for shape in envelope.in_shapes[0]} <= {3, 16, 24}, key
    supernet, genes = Supernet(found).eval(), found.sample(1, np.random.default_rng(0))[0]
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad(), supernet.active(genes):
        assert torch.equal(supernet(x), supernet.extract(genes)(x))


def test_what_options_bring_beside_each_other_is_hardly_missed() -> None:
    space = load_library("digits-hybrid")
    counted = sum(parameter.numel() for parameter in Supernet(space).parameters())
    assert 0.98 * counted < space.supernet_params() < counted


def test_smaller_networks_are_prefixes_of_larger_ones(supernet: Supernet) -> None:
    small = supernet.extract(supernet.space.smallest()).state_dict()
    large = supernet.extract(supernet.space.largest()).state_dict()
    name = "stage1_layer0_mbconv.project.conv.weight"
    rows, columns = small[name].shape[:2]
    assert torch.equal(small[name], large[name][:rows, :columns])
    name = "stage1_layer0_mbconv.depthwise.conv.weight"
    channels = small[name].shape[0]
    assert torch.equal(small[name], large[name][:channels, :, 1:4, 1:4])


def test_a_seed_fixes_the_weights_and_another_changes_them() -> None:
    space = load_library("digits-mobile")
    one, same, other = (Supernet(space, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["stem.conv.weight"], other["stem.conv.weight"])


def test_initial_weights_ignore_the_global_random_state() -> None:
    space = load_library("digits-mobile")
    torch.manual_seed(1)
    one = Supernet(space, seed=1).state_dict()
    torch.manual_seed(2)
    two = Supernet(space, seed=1).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_the_largest_plain_network_starts_like_the_supernet() -> None:
    space = load_library("digits-mobile")
    plain = build_plain(space.resolve(space.largest()), seed=4).state_dict()
    shared = Supernet(space, seed=4).state_dict()
    assert all(torch.equal(plain[name], shared[name]) for name in plain)


def test_active_restores_the_former_architecture_also_after_an_error(supernet: Supernet) -> None:
    before = supernet.active_genes
    with pytest.raises(RuntimeError), supernet.active(random_genes(supernet)):
        raise RuntimeError
    assert np.array_equal(supernet.active_genes, before)


def test_a_deep_copy_is_independent_and_computes_the_same(supernet: Supernet) -> None:
    x = torch.randn(2, 1, 8, 8)
    supernet.set_active(random_genes(supernet))
    supernet(x)
    twin = copy.deepcopy(supernet)
    with torch.no_grad():
        expected = supernet(x)
        assert torch.equal(twin(x), expected)
        for parameter in twin.parameters():
            parameter.zero_()
        assert torch.equal(supernet(x), expected)
        assert not torch.equal(twin(x), expected)


def test_images_of_another_size_are_resized(supernet: Supernet) -> None:
    with torch.no_grad():
        assert supernet(torch.randn(2, 1, 16, 16)).shape == (2, 10)


def test_zero_scales_make_depth_beyond_the_first_layer_invisible(supernet: Supernet) -> None:
    """With the last norm of each residual branch at scale 0, residual layers are the identity at the start."""
    for norm in supernet.residual_norms():
        nn.init.zeros_(norm.weight)  # type: ignore[arg-type]
    space, x = supernet.space, torch.randn(4, 1, 8, 8)
    largest = space.largest()
    depth = [gene.name for gene in space.genes].index("stage1.depth")
    shallow = largest.copy()
    shallow[depth] = 0
    shallow = space.canonical(shallow[None])[0]
    outputs = []
    for genes in (largest, shallow):
        with supernet.active(genes), torch.no_grad():
            outputs.append(supernet(x))
    assert torch.equal(*outputs)


def test_dropout_and_momentum_follow_the_supernets_own_layers(supernet: Supernet) -> None:
    supernet.train()
    for part in supernet.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.0
    before = {name: value.clone() for name, value in supernet.named_buffers() if "running" in name}
    x = torch.randn(4, 1, 8, 8)
    supernet.set_active(random_genes(supernet))
    assert torch.equal(supernet(x), supernet(x))
    assert all(torch.equal(value, before[name]) for name, value in supernet.named_buffers() if name in before)


def test_identity_transforms_equal_the_centre_crop() -> None:
    params = {"kernel": (3, 5, 7), "out": (4,), "kernel_transform": (True,)}
    defaults = {name: (value,) for name, value in complete("conv_bn_act", {}).items()}
    shape = ImageShape(2, 8, 8)
    plain_slices = ElasticBlock(
        Envelope("a", "conv_bn_act", defaults | params | {"kernel_transform": (False,)}, ((shape,),)), 0
    )
    transformed = ElasticBlock(Envelope("a", "conv_bn_act", defaults | params, ((shape,),)), 0)
    assert set(transformed.kernel_transforms) == {"conv_7to5", "conv_5to3"}
    for kernel in (3, 5, 7):
        p = complete("conv_bn_act", {"out": 4, "kernel": kernel})
        first = plain_slices.extracted(plain_slices.skeleton((shape,), p)).state_dict()
        second = transformed.extracted(transformed.skeleton((shape,), p | {"kernel_transform": True})).state_dict()
        assert torch.equal(first["conv.weight"], second["conv.weight"])


def test_a_cropped_kernel_is_its_centre_times_the_matrices_of_each_step() -> None:
    params = {"kernel": (3, 5, 7), "out": (4,), "kernel_transform": (True,)}
    defaults = {name: (value,) for name, value in complete("conv_bn_act", {}).items()}
    shape = ImageShape(2, 8, 8)
    block = ElasticBlock(Envelope("a", "conv_bn_act", defaults | params, ((shape,),)), 0)
    matrices = {name: torch.randn(size, size) for name, size in (("conv_7to5", 25), ("conv_5to3", 9))}
    block.kernel_transforms.load_state_dict(matrices)
    kernel = block.get_parameter("conv.weight").detach()
    p = complete("conv_bn_act", {"out": 4, "kernel": 3, "kernel_transform": True})
    found = block.extracted(block.skeleton((shape,), p)).state_dict()["conv.weight"]
    for out in range(4):
        for channel in range(2):
            five = (kernel[out, channel, 1:6, 1:6].reshape(25) @ matrices["conv_7to5"]).reshape(5, 5)
            three = (five[1:4, 1:4].reshape(9) @ matrices["conv_5to3"]).reshape(3, 3)
            torch.testing.assert_close(found[out, channel], three)


def test_slices_keep_prefixes_and_centres_and_refuse_what_does_not_fit() -> None:
    assert slice_index(torch.Size((8, 4)), torch.Size((8, 4)), None) is None
    assert slice_index(torch.Size((8, 4)), torch.Size((3, 4)), None) == (slice(0, 3),)
    assert slice_index(torch.Size((8, 4, 5, 5)), torch.Size((8, 4, 3, 3)), 2)[2:] == (slice(1, 4), slice(1, 4))  # type: ignore[index]
    with pytest.raises(ValueError, match="no part"):
        slice_index(torch.Size((8, 4)), torch.Size((9, 4)), None)


def two_nodes(second: dict[str, int], key: str = "shared") -> Network:
    shape = ImageShape(4, 6, 6)
    nodes = []
    for number, params in enumerate(({"out": 4}, {"out": 4} | second)):
        full = complete("conv_bn_act", params)
        nodes.append(Node(key, "conv_bn_act", full, (number,), (shape,), shape))
    head = Node("steps", "image_head", complete("image_head", {"out": 3}), (2,), (shape,), VectorShape(3))
    return Network("image_classification", 3, shape, (*nodes, head))


def test_nodes_of_one_key_share_weights_and_names_never_collide_with_attributes() -> None:
    shared, unequal = two_nodes({}), two_nodes({"kernel": 5})
    assert module_names(shared) == ("shared", "shared", "steps_2")
    assert module_names(unequal) == ("shared", "shared_2", "steps_2")
    network = build_plain(shared, seed=0)
    assert sum(p.numel() for p in network.parameters()) == shared.cost().params
    assert network(torch.randn(2, 4, 6, 6)).shape == (2, 3)


def test_a_network_stored_before_a_block_got_a_parameter_is_read(supernet: Supernet) -> None:
    network = supernet.space.resolve(supernet.space.smallest())
    stored = network.to_json()
    for node in stored["nodes"]:
        node["params"].pop("se_from", None)
        node["params"].pop("bias", None)
    assert Network.from_json(stored) == network
