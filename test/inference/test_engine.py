# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The engine: options, times, devices, and running out of GPU memory."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from float32_settings import restored_float32_settings

from seg_node.inference.engine import Engine, OutOfMemory, choose_device
from seg_node.models.load import load_model
from seg_node.models.rcnn.model import RCNNModel
from seg_node.models.rcnn.network import RawPrediction
from seg_node.preprocess.prepare import ModelInput
from seg_node.types import Frame, Segmentation, SegmentOptions

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def engine(thin_checkpoint: tuple[Path, Path]) -> Engine:
    return Engine(load_model("auto", *thin_checkpoint), CPU)


@pytest.fixture(scope="module")
def frame() -> Frame:
    random = np.random.default_rng(0)
    pixels = cv2.resize(random.integers(0, 256, (9, 12, 3), np.uint8), (200, 150))
    return Frame(pixels, "bgr")


@pytest.fixture(scope="module")
def everything(engine: Engine, frame: Frame) -> Segmentation:
    found = engine.segment(frame, replace(engine.default_options, max_instances=1000))
    assert len(found.instances) > 20
    return found


def test_segmentation_has_the_size_and_the_time_of_each_stage(everything: Segmentation) -> None:
    assert everything.image_size == (150, 200)
    assert set(everything.stage_ms) == {"prepare", "infer", "assemble"}
    assert all(0 < milliseconds < 60_000 for milliseconds in everything.stage_ms.values())


def test_instances_come_best_first_with_ids_from_one(everything: Segmentation) -> None:
    instances = everything.instances
    assert (np.diff(instances.scores) <= 0).all()
    assert instances.ids.tolist() == list(range(1, len(instances) + 1))
    assert instances.boxes_xyxy.dtype == instances.scores.dtype == np.float32
    assert (instances.class_ids.dtype, instances.ids.dtype) == (np.int32, np.uint32)
    assert len(instances.boxes_xyxy) == len(instances.masks) == len(instances)


def test_masks_stay_around_their_boxes(everything: Segmentation) -> None:
    for box, mask in zip(everything.instances.boxes_xyxy, everything.instances.masks, strict=True):
        if mask.area == 0:
            continue
        margin = np.ceil(np.max(box[2:] - box[:2]) / 28) + 1
        height, width = mask.pixels.shape
        corners = mask.x_offset, mask.y_offset, mask.x_offset + width, mask.y_offset + height
        assert (corners[:2] >= np.maximum(box[:2] - margin, 0)).all()
        assert (corners[2:] <= np.minimum(box[2:] + margin, (200, 150))).all()


def test_no_objects_give_an_empty_result(engine: Engine, frame: Frame) -> None:
    nothing = engine.segment(frame, replace(engine.default_options, score_threshold=1.0))
    assert len(nothing.instances) == 0
    assert nothing.instances.boxes_xyxy.shape == (0, 4)
    assert nothing.panoptic is not None and nothing.panoptic.segments == ()
    assert not nothing.panoptic.segment_map.any() and nothing.panoptic.segment_map.shape == (150, 200)


def test_classes_are_chosen_before_the_best_are_kept(
    engine: Engine, frame: Frame, everything: Segmentation
) -> None:
    ids = everything.instances.class_ids
    rare = int(ids[-1])  # of the worst-scored instance, which the best two do not contain
    options = replace(engine.default_options, max_instances=2, classes=frozenset({rare, 12345}))
    chosen = engine.segment(frame, options).instances
    of_class = everything.instances.scores[ids == rare][:2]
    assert rare not in ids[:2]
    assert chosen.class_ids.tolist() == [rare] * len(of_class)
    np.testing.assert_array_equal(chosen.scores, of_class)
    assert len(engine.segment(frame, replace(options, classes=frozenset())).instances) == 0


def test_small_instances_are_left_out_and_the_rest_renumbered(
    engine: Engine, frame: Frame, everything: Segmentation
) -> None:
    areas = np.array([mask.area for mask in everything.instances.masks])
    limit = int(np.median(areas)) + 1
    large = engine.segment(
        frame, replace(engine.default_options, max_instances=1000, min_area=limit)
    ).instances
    assert 0 < (areas >= limit).sum() < len(areas)
    np.testing.assert_array_equal(large.scores, everything.instances.scores[areas >= limit])
    assert large.ids.tolist() == list(range(1, len(large) + 1))


def test_mask_threshold_changes_masks_only(engine: Engine, frame: Frame, everything: Segmentation) -> None:
    options = replace(engine.default_options, max_instances=1000, mask_threshold=0.8)
    strict = engine.segment(frame, options).instances
    np.testing.assert_array_equal(strict.boxes_xyxy, everything.instances.boxes_xyxy)
    assert sum(mask.area for mask in strict.masks) < sum(mask.area for mask in everything.instances.masks)


def test_panoptic_map_is_made_only_on_request(engine: Engine, frame: Frame, everything: Segmentation) -> None:
    assert everything.panoptic is not None
    numbers = np.unique(everything.panoptic.segment_map)
    assert set(numbers) - {0} == {segment.id for segment in everything.panoptic.segments} != set()
    assert engine.segment(frame, replace(engine.default_options, panoptic=False)).panoptic is None


def test_warm_up_runs_a_frame_of_the_size(thin_checkpoint: tuple[Path, Path]) -> None:
    model = Starved(load_model("auto", *thin_checkpoint), failures=0)
    Engine(model, CPU).warm_up((90, 120))
    assert model.batch_sizes == [(1, 3, 128, 192)]


@pytest.mark.parametrize("precision", ["exact", "fp32"])
def test_a_program_that_allows_tf32_everywhere_gets_the_same_numbers(
    precision: str, thin_checkpoint: tuple[Path, Path], frame: Frame
) -> None:
    engine = Engine(load_model("auto", *thin_checkpoint), CPU, precision)
    expected = engine.segment(frame, engine.default_options).instances
    with restored_float32_settings():
        torch.backends.fp32_precision = "tf32"
        found = engine.segment(frame, engine.default_options).instances
        assert torch.backends.fp32_precision == "tf32"
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_frames_that_do_not_fit_together_go_in_halves(
    thin_checkpoint: tuple[Path, Path], frame: Frame, everything: Segmentation
) -> None:
    model = Starved(load_model("auto", *thin_checkpoint), failures=2)
    engine = Engine(model, CPU)
    options = replace(model.default_options, max_instances=1000)
    for found in engine.segment_batch([frame] * 3, options):
        np.testing.assert_array_equal(found.instances.scores, everything.instances.scores)
    engine.segment_batch([frame] * 2, options)
    assert [shape[0] for shape in model.batch_sizes] == [3, 3, 1, 1, 1, 1, 1]


class Starved:
    """A model whose first calls run out of the device's memory."""

    def __init__(self, model: RCNNModel, failures: int) -> None:
        self.labels, self.default_options = model.labels, model.default_options
        self.prepare, self.assemble, self.network = model.prepare, model.assemble, model.network
        self.batch_sizes: list[tuple[int, ...]] = []
        self._model, self._failures = model, failures

    def __call__(self, batch: ModelInput, options: SegmentOptions) -> list[RawPrediction]:
        self.batch_sizes.append(tuple(batch.pixels.shape))
        if len(self.batch_sizes) <= self._failures:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return self._model(batch, options)


def test_second_try_after_the_memory_ran_out_succeeds(
    thin_checkpoint: tuple[Path, Path],
    frame: Frame,
    everything: Segmentation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    freed: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(True))
    model = Starved(load_model("auto", *thin_checkpoint), failures=1)
    found = Engine(model, CPU).segment(frame, replace(model.default_options, max_instances=1000))
    assert freed == [True]
    np.testing.assert_array_equal(found.instances.scores, everything.instances.scores)


def test_memory_that_never_suffices_is_an_error_of_its_own(
    thin_checkpoint: tuple[Path, Path], frame: Frame
) -> None:
    model = Starved(load_model("auto", *thin_checkpoint), failures=9)
    with pytest.raises(OutOfMemory, match="cpu has too little memory for a frame of 200x150"):
        Engine(model, CPU).segment(frame, model.default_options)
    assert len(model.batch_sizes) == 2


@pytest.mark.parametrize(
    ("name", "gpus", "expected"),
    [
        ("cpu", 0, "cpu"),
        ("cpu", 1, "cpu"),
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cuda", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_device_is_chosen(name: str, gpus: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert choose_device(name) == torch.device(expected)


@pytest.mark.parametrize(("name", "gpus"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_gpu_that_is_not_there_is_an_error_with_the_cure(
    name: str, gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(RuntimeError, match=f"device {name}: PyTorch .* finds {gpus} .*choose cpu or auto"):
        choose_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cuda0", "mps"])
def test_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="use auto, cpu, cuda or cuda:N"):
        choose_device(name)


def test_device_is_named_for_people(engine: Engine) -> None:
    assert engine.device_name == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gpu_gives_what_the_cpu_gives(thin_checkpoint: tuple[Path, Path], frame: Frame) -> None:
    on_gpu = Engine(load_model("auto", *thin_checkpoint), choose_device("cuda"))
    theirs = on_gpu.segment(frame, on_gpu.default_options).instances
    on_cpu = Engine(load_model("auto", *thin_checkpoint), CPU)
    ours = on_cpu.segment(frame, on_cpu.default_options).instances
    assert on_gpu.device_name.startswith("cuda:0 (")
    assert sorted(theirs.class_ids) == sorted(ours.class_ids)
    np.testing.assert_allclose(theirs.scores, ours.scores, atol=1e-3)
