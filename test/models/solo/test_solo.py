# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SOLO, Decoupled SOLO and SOLOv2 match the references' recorded results and a plain network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from parity import (
    CPU,
    FIXTURES,
    IMAGES,
    assert_agrees,
    assert_recorded,
    fixture_files,
    needs_shared,
    read_frame,
    read_outputs,
    segment_fixture,
)
from photograph import photograph
from plain_solo import STRIDES, plain_solo
from thin_solo import GRIDS, KINDS, Kind, thin, thin_config, thin_tensors, write_thin_checkpoint

from seg_node.inference.engine import Engine
from seg_node.models.files.checkpoint import Checkpoint, read_checkpoint
from seg_node.models.files.config_file import read_config
from seg_node.models.solo.checkpoint import load_solo
from seg_node.models.solo.masks import find_candidates
from seg_node.models.solo.model import SoloModel
from seg_node.types import Instances, SegmentOptions

FAMILIES = ("solo", "decoupled_solo", "solov2", "adet_solov2")


@pytest.fixture(scope="module", params=FAMILIES)
def fixture_model(request: pytest.FixtureRequest) -> tuple[str, SoloModel]:
    weights, config = fixture_files(request.param)
    return request.param, load_solo(read_checkpoint(weights), read_config(config), str(config))


@needs_shared
@pytest.mark.parametrize("image", IMAGES)
def test_answers_are_the_references(fixture_model: tuple[str, SoloModel], image: str) -> None:
    family, model = fixture_model
    assert_agrees(segment_fixture(model, image).instances, read_outputs(family, image), boxes=None)


@needs_shared
@pytest.mark.parametrize("image", IMAGES)
def test_every_step_is_the_references(fixture_model: tuple[str, SoloModel], image: str) -> None:
    family, model = fixture_model
    network = model.network
    with torch.inference_mode():
        batch = model.prepare([read_frame(image)], CPU)
        stages = network.backbone(batch.pixels)
        pyramid = network.fpn(stages)
        output = network.head(pyramid)
    assert_recorded(family, image, "input", batch.pixels, atol=0)
    level_names = [f"p{i}" for i in range(2, 7)] if family == "adet_solov2" else [str(i) for i in range(5)]
    for name, level in zip(level_names, pyramid, strict=True):
        assert_recorded(family, image, f"fpn/{name}", level, atol=3e-5)
    for level, probs in enumerate(output.category_probs):
        if family != "adet_solov2":
            assert_recorded(family, image, f"cate/{level}", probs, atol=3e-6)
    if "solov2" in family:
        *kernels, features = output.mask_sources
        assert_recorded(family, image, "mask_feat", features, atol=3e-5)
        for level, kernel in enumerate(kernels):
            assert_recorded(family, image, f"kernel/{level}", kernel, atol=3e-5)
    elif family == "decoupled_solo":
        for level, source in enumerate(output.mask_sources):
            for name, axis in zip(("ins_x", "ins_y"), source.unbind(1), strict=True):
                resized = F.interpolate(axis, size=output.mask_sources[0].shape[-2:], mode="bilinear")
                assert_recorded(family, image, f"{name}/{level}", resized, atol=1e-5)
    else:
        level = 4  # masks of all levels take gigabytes
        counts = [grid**2 for grid in network.head.grids]
        cells = [torch.arange(count if number == level else 0) for number, count in enumerate(counts)]
        with torch.inference_mode():
            masks = network.head.masks(output, 0, cells)
        assert_recorded(family, image, f"ins/{level}", masks[None], atol=1e-5)


@needs_shared
def test_as_many_cells_are_candidates(fixture_model: tuple[str, SoloModel]) -> None:
    family, model = fixture_model
    meta = json.loads((FIXTURES / family / "seed0/meta.json").read_text())
    if "candidates" not in meta:
        pytest.skip("this fixture does not tell")
    names = [Path(image["file"]).stem for image in meta["images"]]
    for name, expected in zip(names, meta["candidates"], strict=True):
        with torch.inference_mode():
            batch = model.prepare([read_frame(name)], CPU)
            output = model.network.head(model.network.fpn(model.network.backbone(batch.pixels)))
        found = find_candidates([level[0] for level in output.category_probs], STRIDES, 0.1, None)
        assert len(found.scores) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_all_is_as_a_plain_network_finds_it(kind: Kind) -> None:
    model, frame = thin(kind), photograph(120, 170)
    batch = model.prepare([frame], CPU)
    expected = plain_solo(thin_tensors(kind), kind, batch.pixels, batch.sizes[0], frame.image_size)
    found = Engine(model, CPU).segment(frame, model.default_options).instances
    assert len(found) > 5
    assert found.class_ids.tolist() == [class_id for _, class_id, _ in expected]
    np.testing.assert_allclose(found.scores, [score for score, _, _ in expected], rtol=0, atol=1e-5)
    for box, mask, (_, _, theirs) in zip(found.boxes_xyxy, found.masks, expected, strict=True):
        ours = np.zeros(frame.image_size, np.bool_)
        rows, columns = mask.pixels.shape
        ours[mask.y_offset : mask.y_offset + rows, mask.x_offset : mask.x_offset + columns] = mask.pixels
        assert np.count_nonzero(ours != theirs) <= 1
        y, x = np.nonzero(ours)
        assert box.tolist() == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])


def segment(model: SoloModel, options: SegmentOptions) -> Instances:
    return Engine(model, CPU).segment(photograph(120, 170), options).instances


def assert_same(found: Instances, expected: Instances, chosen: list[int]) -> None:
    """Compare with the chosen of the expected objects, except for the last bits."""
    np.testing.assert_array_equal(found.class_ids, expected.class_ids[chosen])
    np.testing.assert_allclose(found.scores, expected.scores[chosen], rtol=0, atol=1e-5)
    for mask, i in zip(found.masks, chosen, strict=True):
        assert abs(mask.area - expected.masks[i].area) <= 2
    assert found.ids.tolist() == list(range(1, len(chosen) + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_threshold_leaves_out_what_scores_lower(kind: Kind) -> None:
    model = thin(kind)
    everything = segment(model, model.default_options)
    threshold = float(everything.scores[4])
    found = segment(model, replace(model.default_options, score_threshold=threshold + 1e-5))
    assert_same(found, everything, [0, 1, 2, 3])
    assert len(segment(model, replace(model.default_options, score_threshold=1.0))) == 0


def test_only_chosen_classes_are_found() -> None:
    model = thin()
    everything = segment(model, replace(model.default_options, max_instances=1000))
    wanted = frozenset(everything.class_ids.tolist()[:2])
    chosen = [i for i, class_id in enumerate(everything.class_ids.tolist()) if class_id in wanted]
    options = replace(model.default_options, max_instances=1000, classes=wanted)
    assert_same(segment(model, options), everything, chosen)
    assert len(segment(model, replace(options, classes=frozenset()))) == 0


def test_limits_of_number_and_area_are_kept() -> None:
    model = thin()
    everything = segment(model, model.default_options)
    assert_same(segment(model, replace(model.default_options, max_instances=3)), everything, [0, 1, 2])
    areas = [mask.area for mask in everything.masks]
    limit = sorted(areas)[len(areas) // 2]
    chosen = [i for i, area in enumerate(areas) if area >= limit]
    assert_same(segment(model, replace(model.default_options, min_area=limit)), everything, chosen)


def test_no_candidate_gives_an_empty_result_with_a_map() -> None:
    for kind in KINDS:
        tensors = thin_tensors(kind)
        tensors[f"bbox_head.{'dsolo' if 'decoupled' in kind else 'solo'}_cate.bias"] -= 100
        model = load_solo(Checkpoint(Path("solo.pth"), tensors), thin_config(), "solo.py")
        found = Engine(model, CPU).segment(photograph(90, 60), model.default_options)
        assert len(found.instances) == 0
        assert found.instances.boxes_xyxy.shape == (0, 4)
        assert found.panoptic is not None and not found.panoptic.segment_map.any()


def test_the_panoptic_map_has_the_surest_things() -> None:
    model = thin()
    options = replace(model.default_options, panoptic_score_threshold=0.2)
    found = Engine(model, CPU).segment(photograph(120, 170), options)
    assert found.panoptic is not None
    first = found.panoptic.segments[0]
    assert (first.class_id, first.instance_id) == (int(found.instances.class_ids[0]), 1)
    assert first.area == found.instances.masks[0].area == np.count_nonzero(found.panoptic.segment_map == 1)
    without = Engine(model, CPU).segment(photograph(120, 170), replace(options, panoptic=False))
    assert without.panoptic is None


def test_images_of_a_batch_do_not_see_each_other() -> None:
    model = thin()
    frames = [photograph(120, 170), photograph(121, 170)]  # equal sizes after padding
    with torch.inference_mode():
        together = model(model.prepare(frames, CPU), model.default_options)
        for frame, found in zip(frames, together, strict=True):
            (alone,) = model(model.prepare([frame], CPU), model.default_options)
            torch.testing.assert_close(found.scores, alone.scores, rtol=0, atol=1e-5)
            assert torch.equal(found.class_ids, alone.class_ids)
            assert found.input_size == alone.input_size


def test_a_checkpoint_file_is_read_with_its_config(tmp_path: Path) -> None:
    weights, config = write_thin_checkpoint(tmp_path)
    model = load_solo(read_checkpoint(weights), read_config(config), str(config))
    assert model.network.settings.grids == GRIDS
    assert model.default_options.max_instances == 30
    assert len(segment(model, model.default_options)) > 5
