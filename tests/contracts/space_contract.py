"""What every compiled search space promises; suites inherit `SpaceContract` and give `space`."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest

from search_spaces.errors import SpaceError
from search_spaces.language.document import parse_document
from search_spaces.network import Network
from search_spaces.space import COST_NAMES, SearchSpace
from search_spaces.views.describe import network_text


class SpaceContract:
    """Inherit and override `space` (a fixture). `num_resolved` bounds the slow, per-architecture checks."""

    num_resolved = 12

    @pytest.fixture
    def space(self) -> SearchSpace:
        raise NotImplementedError

    @pytest.fixture
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(20)

    def test_identity_follows_the_document_alone(self, space: SearchSpace) -> None:
        text = json.dumps(space.document.to_json(), sort_keys=True)
        again = SearchSpace.from_document(parse_document(text))
        assert again.id == space.id
        assert again.genes == space.genes
        assert again.cardinality == space.cardinality

    def test_samples_are_valid_and_keyed_by_the_seed(self, space: SearchSpace) -> None:
        first = space.sample(200, np.random.default_rng(3))
        assert first.dtype == np.int16
        assert first.shape == (200, len(space.genes))
        assert space.valid(first).all()
        assert (space.canonical(first) == first).all()
        assert (first == space.sample(200, np.random.default_rng(3))).all()

    def test_mutants_are_valid_and_new(self, space: SearchSpace, rng: np.random.Generator) -> None:
        parents = space.sample(200, rng)
        for count in (1, 3):
            children = space.mutate(parents, rng, count)
            assert space.valid(children).all()
            assert (children != parents).any(axis=1).all() or space.cardinality == 1

    def test_crossover_is_valid_and_mixes(self, space: SearchSpace, rng: np.random.Generator) -> None:
        a, b = space.sample(100, rng), space.sample(100, rng)
        assert space.valid(space.crossover(a, b, rng)).all()
        assert (space.crossover(a, a, rng) == a).all()

    def test_neighbours_are_valid_distinct_and_exclude_the_centre(
        self, space: SearchSpace, rng: np.random.Generator
    ) -> None:
        centre = space.sample(1, rng)[0]
        around = space.neighbours(centre)
        assert space.valid(around).all()
        assert len(np.unique(around, axis=0)) == len(around)
        assert not (around == centre).all(axis=1).any()

    def test_landmarks_are_valid(self, space: SearchSpace) -> None:
        scaled = space.uniform_scaling(5)
        assert 1 <= len(scaled) <= 5
        assert space.valid(np.stack([space.largest(), space.smallest(), *scaled])).all()

    def test_encodings(self, space: SearchSpace, rng: np.random.Generator) -> None:
        genes = space.sample(50, rng)
        one_hot, ordinal = space.encode_one_hot(genes), space.encode_ordinal(genes)
        assert one_hot.dtype == ordinal.dtype == np.float32
        assert one_hot.shape == (50, sum(len(gene.options) for gene in space.genes))
        assert (one_hot.sum(axis=1) == (genes >= 0).sum(axis=1)).all()
        assert ((ordinal == -1) == (genes < 0)).all()
        assert ordinal.max(initial=0.0) <= 1.0

    def test_architecture_round_trip(self, space: SearchSpace, rng: np.random.Generator) -> None:
        genes = np.unique(space.sample(30, rng), axis=0)
        hashes = set()
        for row in genes:
            architecture = space.architecture(row)
            assert (space.genes_of(json.loads(architecture.canonical_json)) == row).all()
            hashes.add(architecture.hash)
        assert len(hashes) == len(genes)

    def test_wrong_choices_are_named(self, space: SearchSpace) -> None:
        choices = space.architecture(space.largest()).choices
        name = next(iter(choices))
        for wrong in (
            {key: value for key, value in choices.items() if key != name},
            choices | {name: "no such option"},
            choices | {"no.such.choice": 1},
        ):
            with pytest.raises(SpaceError):
                space.genes_of(wrong)

    def test_costs_equal_the_resolved_network(self, space: SearchSpace, rng: np.random.Generator) -> None:
        genes = space.sample(self.num_resolved, rng)
        costs = space.costs(genes)
        assert set(costs) == set(COST_NAMES)
        for position, row in enumerate(genes):
            counted = space.resolve(row).cost()
            assert {name: int(costs[name][position]) for name in COST_NAMES} == {
                name: getattr(counted, name) for name in COST_NAMES
            }

    def test_costs_do_not_depend_on_the_batch(self, space: SearchSpace, rng: np.random.Generator) -> None:
        genes = space.sample(64, rng)
        together = space.costs(genes)
        for position in range(4):
            alone = space.costs(genes[position : position + 1])
            assert all(alone[name][0] == together[name][position] for name in COST_NAMES)

    def test_networks_are_well_formed(self, space: SearchSpace, rng: np.random.Generator) -> None:
        for row in space.sample(self.num_resolved, rng):
            network = space.resolve(row)
            shapes = [network.input_shape]
            for position, node in enumerate(network.nodes):
                assert all(0 <= value <= position for value in node.inputs)
                assert node.in_shapes == tuple(shapes[value] for value in node.inputs)
                shapes.append(node.out_shape)
            assert Network.from_json(json.loads(json.dumps(network.to_json()))) == network

    def test_envelopes_cover_every_network(self, space: SearchSpace, rng: np.random.Generator) -> None:
        envelopes = space.envelopes()
        rows = np.concatenate([space.sample(self.num_resolved, rng), space.largest()[None]])
        for row in rows:
            for node in space.resolve(row).nodes:
                envelope = envelopes[node.key]
                assert envelope.block == node.block
                assert all(value in envelope.params[name] for name, value in node.params.items())
                pairs = zip(node.in_shapes, envelope.in_shapes, strict=False)
                assert all(shape in possible for shape, possible in pairs)

    def test_feasible_samples_meet_their_bounds(self, space: SearchSpace, rng: np.random.Generator) -> None:
        macs = space.costs(space.sample(400, rng))["macs"]
        bound = float(np.quantile(macs, 0.05))
        found = space.sample_feasible(16, rng, {"macs": (None, bound)})
        assert len(found) == 16
        assert space.valid(found).all()
        assert (space.costs(found)["macs"] <= bound).all()

    def test_small_spaces_enumerate_exactly(self, space: SearchSpace) -> None:
        if space.cardinality > 20_000:
            with pytest.raises(SpaceError):
                space.enumerate(20_000)
            return
        rows = space.enumerate(20_000)
        assert len(rows) == len(np.unique(rows, axis=0)) == space.cardinality
        assert space.valid(rows).all()

    def test_it_can_be_drawn(self, space: SearchSpace) -> None:
        drawing = json.loads(json.dumps(space.describe(), default=repr))
        assert len(drawing["genes"]) == len(space.genes)
        assert drawing["nodes"]
        network = space.resolve(space.smallest())
        assert len(network_text(network).splitlines()) == len(network.nodes)


@functools.cache  # a bound would be met by suites that go through all documents once for each of their tests
def compiled(text: str) -> SearchSpace:
    """A space compiled once per process."""
    return SearchSpace.from_document(text)
