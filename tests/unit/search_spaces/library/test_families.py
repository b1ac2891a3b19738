"""Every built-in family keeps the contract of elastic networks, on small inputs where its input may shrink."""

from __future__ import annotations

import re
from typing import ClassVar

import pytest

from search_spaces.library_index import LIBRARY, load_library
from tests.contracts.elastic_contract import ElasticContract


class TestDigitsMobile(ElasticContract):
    family = "digits-mobile"


class TestDigitsMobileOnOtherImages(ElasticContract):
    family = "digits-mobile"
    classes = 7
    input: ClassVar = {"channels": 3, "resolution": 12}


class TestDigitsViT(ElasticContract):
    family = "digits-vit"


class TestDigitsVitStages(ElasticContract):
    family = "digits-vit-stages"


class TestDigitsHybrid(ElasticContract):
    family = "digits-hybrid"


class TestDigitsFabric(ElasticContract):
    family = "digits-fabric"


class TestDigitsCell(ElasticContract):
    family = "digits-cell"


class TestPlainCNN(ElasticContract):
    family = "plain-cnn"
    input: ClassVar = {"resolution": 12}


@pytest.mark.slow
class TestResNetCifar(ElasticContract):
    family = "resnet-cifar"
    input: ClassVar = {"resolution": 12}


@pytest.mark.slow
class TestResNetElastic(ElasticContract):
    family = "resnet-elastic"
    classes = 10
    input: ClassVar = {"resolution": 32}


@pytest.mark.slow
class TestMobileNetV2(ElasticContract):
    family = "mobilenetv2-elastic"
    classes = 10
    input: ClassVar = {"resolution": 32}


@pytest.mark.slow
class TestMobileNetV3(ElasticContract):
    family = "mobilenetv3-ofa"
    classes = 10


@pytest.mark.slow
class TestProxylessMobile(ElasticContract):
    family = "proxyless-mobile"
    classes = 10


@pytest.mark.slow
class TestMnasNet(ElasticContract):
    family = "mnasnet"
    classes = 10
    input: ClassVar = {"resolution": 32}


class TestNatsSize(ElasticContract):
    family = "nats-size"
    input: ClassVar = {"resolution": 8}


class TestNasBenchMacro(ElasticContract):
    family = "nas-bench-macro"
    input: ClassVar = {"resolution": 16}


class TestNasBench201(ElasticContract):
    family = "nasbench201-cell"
    input: ClassVar = {"resolution": 8}


@pytest.mark.slow
class TestDarts(ElasticContract):
    family = "darts-cell"
    input: ClassVar = {"resolution": 8}


@pytest.mark.slow
class TestNasNet(ElasticContract):
    family = "nasnet-cell"
    input: ClassVar = {"resolution": 8}


class TestPoolingResNet20(ElasticContract):
    family = "pooling-resnet20"
    input: ClassVar = {"resolution": 12}


@pytest.mark.slow
class TestElasticViT(ElasticContract):
    family = "elastic-vit"
    classes = 10


@pytest.mark.slow
class TestAutoFormerTiny(ElasticContract):
    family = "autoformer-vit-tiny"
    classes = 10
    input: ClassVar = {"resolution": 32}


class TestFlexiBERT(ElasticContract):
    family = "flexibert"
    input: ClassVar = {"length": 6, "vocabulary": 50}


class TestGPTTiny(ElasticContract):
    family = "gpt-tiny"
    input: ClassVar = {"length": 6, "vocabulary": 50}


class TestMatFormer(ElasticContract):
    family = "matformer-gpt"
    input: ClassVar = {"length": 6, "vocabulary": 50}


class TestTextTiny(ElasticContract):
    family = "text-tiny"
    input: ClassVar = {"length": 6, "vocabulary": 50}


class TestBERTTiny(ElasticContract):
    family = "bert-tiny"
    input: ClassVar = {"length": 6, "vocabulary": 50}


class TestMLPElastic(ElasticContract):
    family = "mlp-elastic"
    input: ClassVar = {"features": 9}


class TestDigitsMLP(ElasticContract):
    family = "digits-mlp"


class TestTableTransformer(ElasticContract):
    family = "table-transformer"
    input: ClassVar = {"features": 5}


TOO_LARGE_FOR_A_UNIT_TEST = {
    "autoformer-vit-small",
    "autoformer-vit-base",
    "gpt-elastic",
    "hytra",
    "vit-resnas",
    "vit-resnas-tiny",
}


def test_every_family_is_tested_here_or_has_a_smaller_sister() -> None:
    tested = {test.family for test in ElasticContract.__subclasses__()}
    assert tested | TOO_LARGE_FOR_A_UNIT_TEST == set(LIBRARY)


def test_every_family_states_its_source() -> None:
    for name in LIBRARY:
        document = load_library(name).document.to_json()
        assert document["name"] == name
        assert re.search(r"\b(19|20)\d\d\b", document["source"]), name


def test_costs_of_digits_mobile_spread_tenfold_over_thousands_of_architectures() -> None:
    space = load_library("digits-mobile")
    assert space.cardinality >= 5_000
    assert space.resolve(space.largest()).cost().macs >= 10 * space.resolve(space.smallest()).cost().macs
