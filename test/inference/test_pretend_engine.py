# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The engine on an emulated GPU: each family obeys CUDA's rules and finds what the CPU finds."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import thin_detectron2
import thin_rf_detr
import thin_solo
import thin_torchvision
import thin_transformers
import thin_yolact
import torch
from float32_settings import restored_float32_settings
from pretend_cuda import PretendGpu, pretend_cuda
from thin_models import partners, yolact_plus
from thin_transformers import COCO_PANOPTIC, write_transformers_folder

from seg_node.inference import cuda_graph
from seg_node.inference.engine import Engine, OutOfMemory
from seg_node.inference.precision import Precision, apply_precision
from seg_node.models.load import load_model
from seg_node.models.rcnn import paste_batched
from seg_node.types import Frame, Segmentation

CPU, GPU, OTHER = torch.device("cpu"), torch.device("cuda", 0), torch.device("cuda", 1)
SIZE = (75, 100)
Load = Callable[[], Any]

# how often the host waits for the GPU in a frame, once its graph is recorded; no family may need more
WAITS = {
    "torchvision": 3,
    "detectron2": 3,
    "panoptic_fpn": 5,
    "yolact": 5,
    "yolact++": 5,
    "solo": 5,
    "decoupled": 5,
    "solov2": 5,
    "mask2former": 7,  # 2 of them within the library's network
    "videomt": 4,
    "rf_detr": 5,  # 1 of them within the library's network
}
NAMES = tuple(WAITS)
OF_LIBRARY = ("mask2former", "videomt", "rf_detr")  # the library's networks are not recorded
GRAPHED = tuple(name for name in NAMES if name not in OF_LIBRARY)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Load]:
    def folder(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    files: dict[str, tuple[Path, Path | None]] = {
        "torchvision": thin_torchvision.write_thin_checkpoint(folder("torchvision")),
        "detectron2": thin_detectron2.write_thin_checkpoint(folder("detectron2")),
        "panoptic_fpn": thin_detectron2.write_thin_panoptic_checkpoint(folder("panoptic")),
        "yolact": thin_yolact.write_thin_checkpoint(folder("yolact")),
        "solo": thin_solo.write_thin_checkpoint(folder("solo"), "solo"),
        "decoupled": thin_solo.write_thin_checkpoint(folder("decoupled"), "decoupled"),
        "solov2": thin_solo.write_thin_checkpoint(folder("solov2"), "solov2"),
        "mask2former": thin_transformers.write_thin_checkpoint(folder("mask2former")),
        "videomt": (write_transformers_folder(folder("videomt"), "videomt", COCO_PANOPTIC), None),
        "rf_detr": (thin_rf_detr.write_rf_detr_folder(folder("rf_detr")), None),
    }
    loads: dict[str, Load] = {name: partial(load_model, "auto", *pair) for name, pair in files.items()}
    return {**loads, "yolact++": yolact_plus}


@pytest.fixture(scope="module")
def expected(families: dict[str, Load]) -> dict[str, list[Segmentation]]:
    """Return the CPU's results for `frames(3)`."""
    found = {}
    for name in NAMES:
        engine = Engine(families[name](), CPU, "exact")
        found[name] = [engine.segment(frame, engine.default_options) for frame in frames(3)]
    return found


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendGpu]:
    monkeypatch.setattr(cuda_graph, "_WARM_UPS", 1)
    with pretend_cuda(log=False) as gpu:
        yield gpu


def frames(count: int, size: tuple[int, int] = SIZE) -> list[Frame]:
    random = np.random.default_rng(0)
    blocks = [random.integers(0, 256, (9, 12, 3), np.uint8) for _ in range(count)]
    return [Frame(cv2.resize(pixels, size[::-1]), "bgr") for pixels in blocks]


def assert_same(found: Segmentation, expected: Segmentation) -> None:
    ours, theirs = found.instances, expected.instances
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-3)
    np.testing.assert_allclose(
        [mask.area for mask in ours.masks], [mask.area for mask in theirs.masks], rtol=0.02, atol=3
    )
    assert (found.panoptic is None) == (expected.panoptic is None)
    if found.panoptic is not None and expected.panoptic is not None:
        differ = found.panoptic.segment_map != expected.panoptic.segment_map
        assert differ.mean() < 0.02


@pytest.mark.parametrize("precision", ["exact", "fp32"])
@pytest.mark.parametrize("name", NAMES)
def test_float32_finds_what_the_cpu_finds_within_its_waits(
    name: str,
    precision: str,
    families: dict[str, Load],
    expected: dict[str, list[Segmentation]],
    gpu: PretendGpu,
) -> None:
    engine = Engine(families[name](), GPU, precision)
    first, second, third = frames(3)
    assert_same(engine.segment(first, engine.default_options), expected[name][0])
    assert_same(engine.segment(second, engine.default_options), expected[name][1])
    is_graphed = precision != "exact" and name in GRAPHED
    assert (gpu.captures, gpu.replays) == ((1, 2) if is_graphed else (0, 0))
    searches = len(gpu.tunings)
    assert (searches > 0) == is_graphed
    gpu.waits.clear()
    assert_same(engine.segment(third, engine.default_options), expected[name][2])
    if precision != "exact":
        assert len(gpu.waits) <= WAITS[name], "\n".join(map(str, gpu.waits))
    assert len(gpu.tunings) == searches


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_finds_what_the_cpu_finds_in_it(
    name: str, precision: Precision, families: dict[str, Load], gpu: PretendGpu
) -> None:
    frame = frames(1)[0]
    model = families[name]()
    apply_precision(model.network, precision)
    expected = Engine(model, CPU).segment(frame, model.default_options).instances
    engine = Engine(families[name](), GPU, precision)
    found = engine.segment(frame, engine.default_options).instances
    assert gpu.captures == (name in GRAPHED)
    if name in ("videomt", "rf_detr"):  # autocast's lists differ, which random weights make much of
        assert len(found) > 0
        return
    pairs = partners(found, expected.select(np.arange(min(len(expected), 10))), SIZE)
    assert len(found) == len(expected)
    assert all(iou > 0.8 and score < 0.02 for iou, score in pairs)
    assert sum(iou > 0.98 for iou, _ in pairs) >= 0.7 * len(pairs)


@pytest.mark.parametrize("name", ["panoptic_fpn", "yolact", "solov2", "mask2former"])
def test_cameras_of_two_sizes_in_batches_get_what_each_frame_gets_alone(
    name: str, families: dict[str, Load], gpu: PretendGpu
) -> None:
    host, engine = Engine(families[name](), CPU, "fp32"), Engine(families[name](), GPU, "fp32")
    options = engine.default_options
    for size in (SIZE, (100, 75)):
        together = engine.segment_batch(frames(3, size), options)
        for found, frame in zip(together, frames(3, size), strict=True):
            assert_same(found, host.segment(frame, options))
    # YOLACT stretches all images to one size
    assert gpu.captures == {"panoptic_fpn": 2, "yolact": 1, "solov2": 2, "mask2former": 0}[name]


@pytest.mark.parametrize("name", ["torchvision", "panoptic_fpn", "yolact++", "decoupled", "mask2former"])
def test_options_act_as_on_the_cpu_and_no_threshold_records_a_graph(
    name: str, families: dict[str, Load], gpu: PretendGpu
) -> None:
    host, engine = Engine(families[name](), CPU, "fp32"), Engine(families[name](), GPU, "fp32")
    (frame,) = frames(1)
    usual = engine.default_options
    engine.segment(frame, usual)
    recorded = gpu.captures
    for changes in (
        {"score_threshold": usual.score_threshold + 0.1},
        {"nms_threshold": 0.3, "mask_threshold": 0.6},
        {"min_area": 30, "duplicate_iou": 0.5},
        {"score_threshold": 1.0},
    ):
        options = replace(usual, **changes)
        assert_same(engine.segment(frame, options), host.segment(frame, options))
    assert len(host.segment(frame, options).instances) == 0
    assert gpu.captures == recorded
    options = replace(usual, panoptic=False, classes=frozenset({1, 3, 500}), max_instances=5)
    assert_same(engine.segment(frame, options), host.segment(frame, options))
    assert gpu.captures <= recorded + 1


@pytest.mark.parametrize("name", ["torchvision", "detectron2", "yolact", "solov2"])
def test_numbers_that_are_none_do_no_harm(name: str, families: dict[str, Load], gpu: PretendGpu) -> None:
    model = families[name]()
    weights = dict(model.network.named_parameters())
    boxes = "box_head.bbox_pred.weight" if "box_head.bbox_pred.weight" in weights else next(iter(weights))
    with torch.no_grad():
        weights[boxes].fill_(torch.nan)
    engine = Engine(model, GPU, "fp32")
    assert len(engine.segment(frames(1)[0], engine.default_options).instances) == 0
    assert gpu.captures == 1


def test_the_warm_up_leaves_nothing_to_record_search_or_compile(
    families: dict[str, Load], gpu: PretendGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(paste_batched, "kernel_works", lambda device: asked.append(device))
    engine = Engine(families["panoptic_fpn"](), GPU, "fp32")
    options = replace(engine.default_options, score_threshold=0.99, max_instances=7, panoptic=False)
    engine.warm_up(SIZE, options)
    before = gpu.captures, len(gpu.tunings)
    assert before[0] == 1 and asked
    engine.segment(frames(1)[0], replace(options, score_threshold=0.3))
    assert (gpu.captures, len(gpu.tunings)) == before
    engine.warm_up(SIZE, options, batch=2)
    assert gpu.captures == 2


def test_graphs_are_dropped_before_a_frame_is_given_up(
    families: dict[str, Load], gpu: PretendGpu, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(families["solov2"](), GPU, "fp32")
    weights = gpu.memory.used
    engine.segment(frames(1)[0], engine.default_options)
    one_graph = gpu.memory.used - weights
    gpu.memory.limit = gpu.memory.most_used + one_graph // 2  # two graphs are too many
    expected = Engine(families["solov2"](), CPU, "fp32")
    (other,) = frames(1, (100, 75))
    assert_same(
        engine.segment(other, engine.default_options), expected.segment(other, engine.default_options)
    )
    assert gpu.emptied == 1
    assert "graphs and caches are freed" in caplog.text
    gpu.memory.limit = weights + one_graph // 4
    with pytest.raises(OutOfMemory, match="cuda:0 has too little memory for a frame of 100x75"):
        engine.segment(frames(1)[0], engine.default_options)
    gpu.memory.limit = 1 << 37
    assert len(engine.segment(frames(1)[0], engine.default_options).instances)


def test_a_batch_that_does_not_fit_goes_in_halves_from_then_on(
    families: dict[str, Load], gpu: PretendGpu, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(families["solov2"](), GPU, "fp32")
    weights = gpu.memory.used
    alone = [engine.segment(frame, engine.default_options) for frame in frames(3)]
    gpu.memory.limit = weights + int(2.6 * (gpu.memory.used - weights))
    for _ in range(2):
        together = engine.segment_batch([*frames(3), frames(1)[0]], engine.default_options)
        for found, expected in zip(together, [*alone, alone[0]], strict=True):
            assert_same(found, expected)
    assert caplog.text.count("too little memory for 4 frames at once: from now on 2 at a time") == 1


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_held_after_close_and_it_opens_again(
    name: str, families: dict[str, Load], gpu: PretendGpu
) -> None:
    small = [Frame(np.zeros((8, 8, 3), np.uint8), "bgr")]
    held = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(2):
            engine = Engine(families[name](), GPU, "fp32")
            engine.segment_batch(small, engine.default_options)
            engine.close()
            held.append(gpu.memory.used)
    finally:
        gc.enable()
    assert held[1] == held[0] < 200_000  # constants of the image's size, kept for all engines


def test_engines_on_two_gpus_take_turns_and_leave_the_callers_device(
    families: dict[str, Load], expected: dict[str, list[Segmentation]], gpu: PretendGpu
) -> None:
    engines = [Engine(families["yolact"](), device, "fp32") for device in (OTHER, GPU)]
    for frame, result in zip(frames(2), expected["yolact"], strict=False):
        for engine in engines:
            assert_same(engine.segment(frame, engine.default_options), result)
            assert torch.cuda.current_device() == 0
    assert gpu.captures == 2


@pytest.mark.parametrize("precision", ["exact", "fp32"])
def test_no_setting_of_the_program_brings_tf32_into_an_engine(
    precision: str, families: dict[str, Load], gpu: PretendGpu
) -> None:
    with restored_float32_settings():
        torch.set_float32_matmul_precision("high")
        engine = Engine(families["torchvision"](), GPU, precision)
        assert len(engine.segment(frames(1)[0], engine.default_options).instances)
        assert torch.get_float32_matmul_precision() == "high"


def test_the_embedded_model_runs_in_half_precision(gpu: PretendGpu) -> None:
    host, engine = Engine(load_model(), CPU, "fp32"), Engine(load_model(), GPU, "fp16")
    (frame,) = frames(1, (120, 160))
    options = replace(engine.default_options, score_threshold=0.05)
    found, theirs = (e.segment(frame, options) for e in (engine, host))
    assert gpu.captures == 1
    assert abs(len(found.instances) - len(theirs.instances)) <= 2
    assert found.panoptic is not None and theirs.panoptic is not None
    assert (found.panoptic.segment_map == theirs.panoptic.segment_map).mean() > 0.8
