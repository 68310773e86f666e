# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN with fixed shapes gives the results of the plain path."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import thin_detectron2
import thin_torchvision
import torch
from torch import Tensor
from torchvision.ops import batched_nms, roi_align

from seg_node.models.load import load_model
from seg_node.models.rcnn import fixed_pooling, fixed_shapes
from seg_node.models.rcnn.boxes import pool_regions
from seg_node.models.rcnn.model import RCNNModel
from seg_node.models.rcnn.network import RawPrediction, unpack
from seg_node.models.rcnn.roi_align import align_rows
from seg_node.models.rcnn.suppression import suppress
from seg_node.types import Frame, SegmentOptions

CPU = torch.device("cpu")


def random_boxes(random: torch.Generator, *shape: int, within: float = 200.0) -> Tensor:
    corner = torch.rand(*shape, 2, generator=random) * within
    return torch.cat((corner, corner + torch.rand(*shape, 2, generator=random) ** 2 * 90), dim=-1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7])
def test_suppression_keeps_what_torchvisions_keeps(seed: int, threshold: float) -> None:
    random = torch.Generator().manual_seed(seed)
    boxes = random_boxes(random, 3, 400)
    scores = torch.rand(3, 400, generator=random).sort(dim=1, descending=True).values
    groups = torch.randint(0, 4, (3, 400), generator=random)
    valid = torch.rand(3, 400, generator=random) > 0.2
    kept, final = suppress(boxes, valid, threshold, 24, groups)
    assert final.all()
    for image in range(3):
        there = torch.where(valid[image])[0]
        expected = there[
            batched_nms(boxes[image, there], scores[image, there], groups[image, there], threshold)
        ]
        assert torch.where(kept[image])[0].tolist() == sorted(expected.tolist())


@pytest.mark.parametrize("rounds", [fixed_shapes.OBJECT_ROUNDS, fixed_shapes.PROPOSAL_ROUNDS])
def test_a_chain_longer_than_the_rounds_does_not_converge(rounds: int) -> None:
    x = torch.arange(2.0 * rounds) * 4  # each overlaps the next ones by 0.6 and 0.3
    boxes = torch.stack((x, x * 0, x + 16, x * 0 + 16), dim=1)[None]
    valid = torch.ones(1, len(x), dtype=torch.bool)
    _, final = suppress(boxes, valid, 0.5, rounds)
    assert not final.any()


@pytest.mark.parametrize("sampling_ratio", [0, 1, 2])
@pytest.mark.parametrize("aligned", [False, True])
def test_regions_pooled_as_sums_of_rows_are_torchvisions(sampling_ratio: int, aligned: bool) -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 23, 31, generator=random)
    boxes = random_boxes(random, 200, within=150) - 25  # some reach beyond the map
    boxes[:5, 2:] = boxes[:5, :2]  # without a side
    regions = torch.cat((torch.randint(0, 2, (200, 1), generator=random).float(), boxes), dim=1)
    expected = roi_align(features, regions, 7, 0.25, sampling_ratio, aligned)
    rows = features.to(memory_format=torch.channels_last)
    pooled = align_rows(rows, regions, 7, 0.25, sampling_ratio, aligned)
    torch.testing.assert_close(pooled, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_regions_of_all_levels_at_once_are_those_of_each_level(sampling_ratio: int) -> None:
    random = torch.Generator().manual_seed(1)
    features = [torch.randn(2, 8, 64 >> i, 96 >> i, generator=random) for i in range(4)]
    boxes = [random_boxes(random, 150) * torch.tensor([1.0, 1, 1.8, 1.2]) for _ in range(2)]
    expected = pool_regions(features, boxes, 7, sampling_ratio, True)
    rows = [feature.to(memory_format=torch.channels_last) for feature in features]
    for is_fixed in (False, True):
        pooled = pool_regions(rows, boxes, 7, sampling_ratio, True, fixed=is_fixed)
        torch.testing.assert_close(pooled, expected, atol=2e-5, rtol=0)


def test_a_region_is_pooled_on_its_own_level_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With as many samples as cells, regions of other levels must not cost as much as the level's own."""
    pooled: list[Tensor] = []

    def noted(features: Tensor, regions: Tensor, *others: Any) -> Tensor:
        pooled.append(regions)
        return roi_align(features, regions, *others)

    monkeypatch.setattr(fixed_pooling, "roi_align", noted)
    random = torch.Generator().manual_seed(1)
    features = [torch.randn(1, 4, 64 >> i, 96 >> i, generator=random) for i in range(4)]
    boxes = random_boxes(random, 60) * torch.tensor([1.0, 1, 1.8, 1.2])
    maps = [feature.to(memory_format=torch.channels_last) for feature in features]
    pool_regions(maps, [boxes], 7, 0, True, fixed=True)
    areas = torch.stack([(r[:, 3] - r[:, 1]) * (r[:, 4] - r[:, 2]) for r in pooled])
    assert (areas > 0).any(dim=1).sum() > 1  # of the levels
    assert ((areas > 0).sum(dim=0) == 1).all()


def frames(seed: int) -> list[Frame]:
    random = np.random.default_rng(seed)
    return [Frame(random.integers(0, 256, (150, 200, 3), np.uint8), "bgr") for _ in range(2)]


def both_ways(
    model: Any, seed: int, options: SegmentOptions
) -> tuple[Sequence[RawPrediction], Sequence[RawPrediction] | None]:
    network = model.network.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        batch = model.prepare(frames(seed), CPU)
        plain = model(batch, options)
        packed = network.fixed(batch.pixels, batch.sizes, fixed_shapes.selection_of(options))
        return plain, unpack(packed, batch.sizes)


WRITERS: dict[str, Callable[[Path], tuple[Path, Path]]] = {
    "torchvision": thin_torchvision.write_thin_checkpoint,
    "detectron2": thin_detectron2.write_thin_checkpoint,
    "panoptic_fpn": thin_detectron2.write_thin_panoptic_checkpoint,
}


@pytest.fixture(scope="module", params=WRITERS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return WRITERS[request.param](tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "changes",
    [{}, {"score_threshold": 0.1}, {"score_threshold": 0.4}, {"max_instances": 7}, {"nms_threshold": 0.2}],
    ids=str,
)
def test_the_whole_network_finds_the_same(
    checkpoint: tuple[Path, Path], seed: int, changes: dict[str, Any]
) -> None:
    model = load_model("auto", *checkpoint)
    options = replace(model.default_options, **changes)
    plain, other = both_ways(model, seed, options)
    assert sum(len(found.scores) for found in plain) > 0
    assert_same(plain, other)


def assert_same(plain: Sequence[RawPrediction], other: Sequence[RawPrediction] | None) -> None:
    assert other is not None
    for expected, found in zip(plain, other, strict=True):
        torch.testing.assert_close(found.boxes_xyxy, expected.boxes_xyxy, atol=1e-3, rtol=0)
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=0)
        assert found.class_ids.tolist() == expected.class_ids.tolist()
        torch.testing.assert_close(found.mask_probs, expected.mask_probs, atol=1e-4, rtol=0)
        assert found.input_size == expected.input_size


def test_thresholds_may_be_tensors_that_change(thin_checkpoint: tuple[Path, Path]) -> None:
    model = load_model("auto", *thin_checkpoint)
    score, nms = torch.empty(2).unbind()
    selection = replace(
        fixed_shapes.selection_of(model.default_options), score_threshold=score, nms_threshold=nms
    )
    found = []
    for thresholds in ((0.1, 0.5), (0.4, 0.5), (0.1, 0.1)):
        for tensor, value in zip((score, nms), thresholds, strict=True):
            tensor.fill_(value)
        options = replace(model.default_options, score_threshold=thresholds[0], nms_threshold=thresholds[1])
        plain, _ = both_ways(model, 0, options)
        with torch.inference_mode():
            batch = model.prepare(frames(0), CPU)
            assert_same(plain, unpack(model.network.fixed(batch.pixels, batch.sizes, selection), batch.sizes))
        found.append(sum(len(one.scores) for one in plain))
    assert found[0] > max(found[1:]) > 0


def test_the_class_filter_acts(thin_checkpoint: tuple[Path, Path]) -> None:
    model = load_model("auto", *thin_checkpoint)
    everything, _ = both_ways(model, 0, model.default_options)
    known = sorted({*everything[0].class_ids.tolist(), *everything[1].class_ids.tolist()})
    options = replace(model.default_options, classes=frozenset([*known[::2], 0, 500]))
    plain, other = both_ways(model, 0, options)
    assert 0 < sum(len(found.scores) for found in plain) < sum(len(found.scores) for found in everything)
    assert_same(plain, other)


@pytest.mark.parametrize(
    ("name", "too_small"), [("CANDIDATES", 10), ("PROPOSAL_ROUNDS", 1), ("OBJECT_ROUNDS", 1)]
)
def test_where_the_fixed_numbers_do_not_suffice_the_plain_way_answers(
    name: str, too_small: int, thin_checkpoint: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed_shapes, name, too_small)
    model = load_model("auto", *thin_checkpoint)
    plain, other = both_ways(model, 0, model.default_options)
    assert len(plain[0].scores) > 0
    assert other is None
    assert isinstance(model, RCNNModel)
    fixed = replace(model, fixed=model.network.fixed)  # it then takes the plain path by itself
    with torch.inference_mode():
        again = fixed(fixed.prepare(frames(0), CPU), fixed.default_options)
    assert torch.equal(again[0].scores, plain[0].scores)


def test_the_panoptic_models_stuff_is_the_same() -> None:
    model = load_model()
    plain, other = both_ways(model, 5, replace(model.default_options, score_threshold=0.1, panoptic=True))
    assert other is not None
    for expected, found in zip(plain, other, strict=True):
        assert expected.semantic_logits is not None and found.semantic_logits is not None
        assert torch.equal(found.semantic_logits, expected.semantic_logits)
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=0)


def test_boxes_that_do_not_count_are_zeros() -> None:
    """NaN deltas give NaN boxes, which cannot be pooled."""
    model = load_model()
    rpn, settings = model.network.rpn, model.network.settings
    random = torch.Generator().manual_seed(0)
    maps = [(1, 3, 12 >> level, 16 >> level) for level in range(len(settings.anchor_sizes))]
    maps = [(*shape[:2], max(shape[2], 1), max(shape[3], 1)) for shape in maps]
    logits = [torch.randn(shape, generator=random) for shape in maps]
    deltas = [torch.randn(1, 12, *shape[2:], generator=random) for shape in maps]
    for level in deltas:
        level[:, :, ::2] = torch.nan
    proposals, valid, _ = fixed_shapes.propose(rpn, logits, deltas, [(48, 64)], (48, 64))
    assert 0 < valid.sum() < valid.numel()
    assert proposals.isfinite().all() and not proposals[~valid].any()

    classes = torch.randn(valid.numel(), 5, generator=random)
    refinements = torch.randn(valid.numel(), 20, generator=random)
    refinements[::2] = torch.nan
    selection = fixed_shapes.selection_of(
        replace(model.default_options, score_threshold=0.2, max_instances=1000)
    )
    kept = fixed_shapes.detect(settings, proposals, valid, classes, refinements, [(48, 64)], selection)
    assert 0 < kept.valid.sum() < kept.valid.numel()
    assert kept.boxes_xyxy.isfinite().all() and not kept.boxes_xyxy[~kept.valid].any()
