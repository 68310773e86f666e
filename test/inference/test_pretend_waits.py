# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""How often the host waits for the GPU during a frame of YOLACT or SOLO, counted on an emulated GPU."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from parity import CPU
from photograph import photograph
from thin_models import MODELS, Model

from seg_node.inference import cuda_graph
from seg_node.inference.engine import Engine
from seg_node.models.solo import masks as solo_masks
from seg_node.models.solo.model import SoloModel
from seg_node.models.yolact.model import YolactModel
from seg_node.types import Frame, Instances

pretend_cuda = pytest.importorskip("pretend_cuda").pretend_cuda

GPU = torch.device("cuda", 0)


def with_settings(name: str, **changes: Any) -> Callable[[], Model]:
    def make() -> Model:
        model = MODELS[name]()
        if isinstance(model, YolactModel):
            return replace(model, settings=replace(model.settings, **changes))
        model.network.settings = replace(model.network.settings, **changes)
        return model

    return make


VARIANTS = {
    **MODELS,
    "yolact, classes compete": with_settings("yolact", cross_class_nms=True),
    "yolact_plus, classes compete": with_settings("yolact_plus", cross_class_nms=True),
    "solov2, hard suppression": with_settings("solov2", nms="hard"),
}
# waits of one frame: the number of candidates, the number of objects, the clock's, the objects, their pixels
BUDGET = dict.fromkeys(VARIANTS, 5) | {"solov2, hard suppression": 6}  # and the overlaps
CHANGES: list[dict[str, Any]] = [
    {},
    {"classes": frozenset({0, 3, 17, 40, 500})},
    {"classes": frozenset(range(40))},
    {"max_instances": 7},
    {"score_threshold": 0.9999},  # YOLACT++ then rates fewer masks
    {"score_threshold": 1.0},
]


@pytest.fixture(autouse=True)
def one_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graph, "_WARM_UPS", 1)


def frame(number: int) -> Frame:
    """Crop a different part of one photograph for each number."""
    whole = photograph(120, 200).pixels
    return Frame(
        np.ascontiguousarray(whole[10 * number : 10 * number + 75, 15 * number : 15 * number + 100]), "bgr"
    )


def assert_same(found: Instances, expected: Instances) -> None:
    assert found.class_ids.tolist() == expected.class_ids.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)
    areas = [[mask.area for mask in instances.masks] for instances in (found, expected)]
    np.testing.assert_allclose(*areas, rtol=0, atol=2)  # a matrix product rounds otherwise than a convolution


@pytest.mark.parametrize("name", VARIANTS)
def test_a_steady_frame_keeps_its_budget_of_waits(name: str) -> None:
    with pretend_cuda(log=False) as gpu:
        engine = Engine(VARIANTS[name](), GPU, "fp32")
        for number in range(2):
            engine.segment(frame(number), engine.default_options)
        tuned = len(gpu.tunings)
        for changes in CHANGES:
            gpu.waits.clear()
            engine.segment(frame(2), replace(engine.default_options, **changes))
            assert len(gpu.waits) <= BUDGET[name], (changes, gpu.waits)
        assert len(gpu.tunings) == tuned, gpu.tunings[tuned:]
        assert gpu.captures == 1


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_found_is_what_the_cpu_finds(name: str) -> None:
    host = Engine(VARIANTS[name](), CPU, "exact")
    options = [replace(host.default_options, **changes) for changes in CHANGES]
    expected = [host.segment(frame(1), some).instances for some in options]
    assert len(expected[0]) > 7 and len(expected[-1]) == 0
    with pretend_cuda(log=False):
        engine = Engine(VARIANTS[name](), GPU, "exact")
        for some, instances in zip(options, expected, strict=True):
            assert_same(engine.segment(frame(1), some).instances, instances)


@pytest.mark.parametrize("name", ["solo", "decoupled", "solov2"])
def test_many_candidates_are_taken_some_at_a_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solo_masks, "_CHUNK", 7)
    make = with_settings(name, nms_candidates=20)
    host = Engine(make(), CPU, "exact")
    expected = host.segment(frame(1), host.default_options).instances
    assert isinstance(make(), SoloModel) and len(expected) > 7
    with pretend_cuda(log=False):
        assert_same(Engine(make(), GPU, "exact").segment(frame(1), host.default_options).instances, expected)


def test_more_objects_than_are_rated_at_a_time_are_rated() -> None:
    host = Engine(MODELS["yolact_plus"](), CPU, "exact")
    options = replace(host.default_options, max_instances=230)
    expected = host.segment(frame(0), options).instances
    assert len(expected) > 100
    with pretend_cuda(log=False):
        assert_same(
            Engine(MODELS["yolact_plus"](), GPU, "exact").segment(frame(0), options).instances, expected
        )
