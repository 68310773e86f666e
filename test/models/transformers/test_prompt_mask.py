# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes and points give the library's own masks; prompts that describe no object are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

pytest.importorskip("transformers.models.sam2", reason="this version of transformers has no SAM 2")

import transformers
from pretend_cuda import pretend_cuda
from thin_sam2 import write_sam_folder

from seg_node.inference.prompt_engine import PromptEngine
from seg_node.models.files.load_error import LoadError
from seg_node.models.transformers.prompt_mask import SpatialPrompts
from seg_node.models.transformers.prompt_mask_folder import load_prompt_mask
from seg_node.types import Frame, Segmentation

NAMES = {"sam": "Sam", "sam2": "Sam2", "sam3_tracker": "Sam3Tracker"}
FIRST, SECOND = (5.0, 5.0, 40.0, 30.0), (50.0, 10.0, 70.0, 40.0)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sam")
    return {kind: write_sam_folder(root / kind, kind) for kind in NAMES}


def prompts(*, boxes: Any = (), points: Any = (), labels: Any = ()) -> SpatialPrompts:
    return SpatialPrompts(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(points, np.float32).reshape(-1, 2),
        np.array(labels, np.bool_),
    )


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def segment(folder: Path, rgb: np.ndarray, wanted: SpatialPrompts, device: str = "cpu") -> Segmentation:
    return PromptEngine(load_prompt_mask(folder), torch.device(device)).segment(Frame(rgb, "rgb"), wanted)


def library_answer(
    folder: Path, kind: str, rgb: np.ndarray, wanted: SpatialPrompts
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (N, H, W) and scores (N,) of each object alone, the best of three for a single point."""
    network = getattr(transformers, f"{NAMES[kind]}Model").from_pretrained(folder).eval()
    processor = getattr(transformers, f"{NAMES[kind]}Processor").from_pretrained(folder)
    points = {}
    if len(wanted.points_xy):
        labels = wanted.on_object.astype(int).tolist()
        points = {"input_points": [[wanted.points_xy.tolist()]], "input_labels": [[labels]]}
    masks, scores = [], []
    for box in wanted.boxes_xyxy.tolist() or [None]:
        boxes = {} if box is None else {"input_boxes": [[box]]}
        inputs = processor(images=PIL.Image.fromarray(rgb), return_tensors="pt", **boxes, **points)
        inputs = {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}
        sizes = [inputs.pop(name) for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
        alone = box is None and len(wanted.points_xy) == 1
        with torch.inference_mode():
            output = network(**inputs, multimask_output=alone)
        (found,) = processor.post_process_masks(output.pred_masks, *sizes)
        best = int(output.iou_scores[0, 0].argmax())
        masks.append(found[0, best].numpy())
        scores.append(output.iou_scores[0, 0, best].item())
    return np.array(masks), np.array(scores)


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("size", [(48, 80), (90, 75)])
@pytest.mark.parametrize(
    "wanted",
    [
        prompts(boxes=[FIRST]),
        prompts(boxes=[FIRST, SECOND]),
        prompts(points=[(20, 20)], labels=[1]),
        prompts(points=[(20, 20), (60, 40), (0, 0)], labels=[1, 0, 1]),
        prompts(boxes=[FIRST], points=[(20, 20)], labels=[1]),
    ],
    ids=["box", "boxes", "point", "points", "box and point"],
)
def test_masks_are_the_librarys(
    folders: dict[str, Path], kind: str, size: tuple[int, int], wanted: SpatialPrompts
) -> None:
    rgb = noise(*size)
    found = segment(folders[kind], rgb, wanted).instances
    masks, scores = library_answer(folders[kind], kind, rgb, wanted)
    assert len(found) == len(masks)
    np.testing.assert_allclose(found.scores, scores.clip(0, 1), atol=1e-4)
    for crop, mask in zip(found.masks, masks, strict=True):
        whole = np.zeros(size, bool)
        whole[crop.roi.slices] = crop.pixels
        assert (whole ^ mask).sum() <= max(1, 0.001 * mask.sum())


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (prompts(), "neither a box nor a point on an object is given"),
        (prompts(points=[(1, 1)], labels=[0]), "neither a box nor a point on an object"),
        (prompts(points=[(1, 1)], labels=[1, 1]), "2 labels for 1 points"),
        (prompts(boxes=[FIRST, SECOND], points=[(1, 1)], labels=[1]), "points beside 2 boxes"),
        (prompts(boxes=[(0, 0, 81, 9)]), r"\(81, 9\) lies outside the image of 80x48"),
        (prompts(points=[(1, -1)], labels=[1]), r"\(1, -1\) lies outside"),
        (prompts(points=[(np.nan, 1)], labels=[1]), r"\(nan, 1\) lies outside"),
        (prompts(boxes=[(9, 9, 9, 20)]), "must be x_min, y_min, x_max, y_max"),
        (prompts(boxes=[FIRST] * 257), "257 boxes and 0 points, of at most 256"),
    ],
)
def test_prompts_that_describe_no_object_are_refused(
    folders: dict[str, Path], wanted: SpatialPrompts, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        wanted.check((48, 80))


def test_a_gpu_finds_what_the_cpu_finds(folders: dict[str, Path]) -> None:
    rgb, wanted = noise(48, 80), prompts(boxes=[FIRST, SECOND])
    expected = segment(folders["sam2"], rgb, wanted).instances
    with pretend_cuda(log=False):
        found = segment(folders["sam2"], rgb, wanted, "cuda:0").instances
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    areas = [[mask.area for mask in each.masks] for each in (found, expected)]
    np.testing.assert_allclose(*areas, atol=3)


def test_folders_that_do_not_fit_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no such folder"):
        load_prompt_mask(tmp_path / "nowhere")
    folder = shutil.copytree(folders["sam2"], tmp_path / "sam2")
    config = json.loads((folder / "config.json").read_text())
    for changed, text in (
        ({"model_type": "eomt"}, "has model_type 'eomt'; known: sam, sam2, sam2_video, sam3_tracker"),
        (
            {"mask_decoder_config": {**config["mask_decoder_config"], "mlp_dim": 10**9}},
            "configuration of another model",
        ),
        (
            {"mask_decoder_config": {**config["mask_decoder_config"], "mlp_dim": 48}},
            "missing or of another shape",
        ),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **changed}))
        with pytest.raises(LoadError, match=text):
            load_prompt_mask(folder)
