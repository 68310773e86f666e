# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""RF-DETR-Seg folders give the objects of the transformers library, or are refused by name."""

import json
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from parity import CPU, full

transformers = pytest.importorskip("transformers")
if not hasattr(transformers, "RfDetrForInstanceSegmentation"):
    pytest.skip("needs a transformers with RF-DETR", allow_module_level=True)

from thin_rf_detr import NAMES, QUERIES, write_rf_detr_folder  # noqa: E402

from seg_node.inference.engine import Engine  # noqa: E402
from seg_node.inference.precision import Precision, apply_precision  # noqa: E402
from seg_node.models.files.load_error import LoadError  # noqa: E402
from seg_node.models.load import load_model  # noqa: E402
from seg_node.models.transformers.rf_detr import RfDetrModel, RfDetrPrediction, pixel_boxes  # noqa: E402
from seg_node.types import Frame, LabelSet, Segmentation  # noqa: E402

SIZES = [(48, 80), (10, 7), (231, 300)]  # the network's masks are 16 x 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rf_detr_folder(tmp_path_factory.mktemp("rf_detr"))


@pytest.fixture(scope="module")
def model(folder: Path) -> RfDetrModel:
    loaded = load_model("auto", folder)
    assert isinstance(loaded, RfDetrModel)
    return loaded


def picture(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def library_answer(
    folder: Path, pixels: NDArray[np.uint8], threshold: float, mask_threshold: float
) -> tuple[list[tuple[int, float, NDArray[np.bool_]]], dict[str, Any]]:
    """Return the library's objects (class, score, mask), and its boxes of all pairs above the threshold."""
    network = transformers.RfDetrForInstanceSegmentation.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    with torch.inference_mode():
        output = network(**processor(images=[pixels], return_tensors="pt"))
    common: dict[str, Any] = {"threshold": threshold, "target_sizes": [pixels.shape[:2]]}
    post = (
        transformers.RfDetrImageProcessor()
    )  # folders of the library's conversion have a DetrImageProcessor
    (answer,) = post.post_process_instance_segmentation(
        output, mask_threshold=mask_threshold, return_binary_maps=True, **common
    )
    (boxes,) = post.post_process_object_detection(output, **common)
    maps = answer["segmentation"].numpy()
    objects = [
        (entry["label_id"], entry["score"], maps[i]) for i, entry in enumerate(answer["segments_info"])
    ]
    return objects, boxes


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("threshold", "mask_threshold"), [(0.5, 0.5), (0.1, 0.5), (0.3, 0.9)])
def test_objects_are_the_librarys_own(
    size: tuple[int, int], threshold: float, mask_threshold: float, folder: Path, model: RfDetrModel
) -> None:
    pixels = picture(size)
    options = replace(model.default_options, score_threshold=threshold, mask_threshold=mask_threshold)
    expected, boxes = library_answer(
        folder, pixels, threshold, math.log(mask_threshold / (1 - mask_threshold))
    )

    found = Engine(model, CPU).segment(Frame(pixels, "rgb"), options).instances

    assert len(found) == len(expected) > (0 if size == (10, 7) else 3)
    assert found.class_ids.tolist() == [class_id for class_id, _, _ in expected]
    np.testing.assert_allclose(found.scores, [score for _, score, _ in expected], rtol=0, atol=1e-6)
    for mask, (_, _, theirs) in zip(found.masks, expected, strict=True):
        assert np.array_equal(full(mask, size), theirs)
    # the library's boxes have no masks: the pairs of objects whose masks are empty are among them
    height, width = size
    clamped = boxes["boxes"].clamp(min=0).minimum(torch.tensor([width, height, width, height])).numpy()
    places = [int(np.abs(boxes["scores"].numpy() - score).argmin()) for score in found.scores]
    np.testing.assert_allclose(found.boxes_xyxy, clamped[places], rtol=0, atol=1e-3)


def test_the_image_processor_of_the_folder_prepares_the_image(tmp_path: Path) -> None:
    """It is DETR's, which resizes with antialiasing, in folders that the library's conversion wrote."""
    folder, pixels = write_rf_detr_folder(tmp_path), picture((200, 300))
    transformers.DetrImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    model = load_model("auto", folder)
    expected, _ = library_answer(folder, pixels, 0.2, 0.0)
    options = replace(model.default_options, score_threshold=0.2)
    found = Engine(model, CPU).segment(Frame(pixels, "rgb"), options).instances
    assert len(found) == len(expected) > 0
    for mask, (_, _, theirs) in zip(found.masks, expected, strict=True):
        assert np.array_equal(full(mask, (200, 300)), theirs)


def test_one_query_may_be_two_objects(folder: Path, model: RfDetrModel) -> None:
    (raw,) = model(model.prepare([Frame(picture((48, 80)), "rgb")], CPU), model.default_options)
    twice = [box for box, count in Counter(map(tuple, raw.boxes.tolist())).items() if count == 2]
    assert len(twice) == 1
    classes = raw.class_ids[(raw.boxes == torch.tensor(twice[0])).all(dim=1)]
    assert len(classes.unique()) == 2


def test_default_options_are_the_librarys_and_classes_are_those_of_id2label(model: RfDetrModel) -> None:
    options = model.default_options
    assert (options.score_threshold, options.mask_threshold, options.max_instances) == (0.5, 0.5, QUERIES)
    assert model.labels == LabelSet(dict(enumerate(NAMES)))


def blocks(*pairs: tuple[int, float]) -> RfDetrPrediction:
    """Make objects of (class, score), each in its own eighth of the image: a column of 8 x 64 pixels."""
    masks = torch.full((len(pairs), 8, 8), -4.0)
    for i in range(len(pairs)):
        masks[i, :, i] = 4.0
    classes, scores = [class_id for class_id, _ in pairs], [score for _, score in pairs]
    boxes = torch.tensor([[(i + 0.5) / 8, 0.5, 1 / 8, 1.0] for i in range(len(pairs))]).reshape(-1, 4)
    return RfDetrPrediction(torch.tensor(scores), torch.tensor(classes), boxes, masks)


def assemble(model: RfDetrModel, raw: RfDetrPrediction, **options: Any) -> Segmentation:
    return model.assemble(raw, (64, 64), replace(model.default_options, **options))


def test_masks_and_boxes_of_a_closed_form(model: RfDetrModel) -> None:
    found = assemble(model, blocks((0, 0.9), (1, 0.8), (0, 0.7)))
    assert found.instances.boxes_xyxy.tolist() == [[0, 0, 8, 64], [8, 0, 16, 64], [16, 0, 24, 64]]
    assert [(mask.x_offset, mask.pixels.shape) for mask in found.instances.masks] == [
        (0, (64, 8)),
        (8, (64, 8)),
        (16, (64, 8)),
    ]
    assert found.panoptic is not None
    assert [(s.class_id, s.area, s.instance_id) for s in found.panoptic.segments] == [
        (0, 512, 1),
        (1, 512, 2),
        (0, 512, 3),
    ]


def test_a_mask_without_pixels_is_no_object(model: RfDetrModel) -> None:
    raw = blocks((0, 0.9), (1, 0.8))
    raw.mask_logits[0] = -1.0
    assert assemble(model, raw).instances.class_ids.tolist() == [1]
    raw.mask_logits[1] = 0.0  # exactly at the level
    assert len(assemble(model, raw).instances) == 0


def test_options_choose_among_the_masks(model: RfDetrModel) -> None:
    raw = blocks((0, 0.9), (1, 0.8))
    assert len(assemble(model, raw, min_area=512).instances) == 2
    assert len(assemble(model, raw, min_area=513).instances) == 0
    assert [m.area for m in assemble(model, raw, mask_threshold=0.0).instances.masks] == [64 * 64] * 2
    assert len(assemble(model, raw, mask_threshold=1.0).instances) == 0
    assert assemble(model, raw, panoptic=False).panoptic is None
    raw.mask_logits[1] = raw.mask_logits[0]
    assert len(assemble(model, raw).instances) == 2
    assert len(assemble(model, raw, duplicate_iou=0.9).instances) == 1


def test_options_choose_among_the_pairs(model: RfDetrModel) -> None:
    inputs = model.prepare([Frame(picture((48, 80)), "rgb")], CPU)
    usual = replace(model.default_options, score_threshold=0.1)
    (raw,) = model(inputs, usual)
    assert raw.scores.tolist() == sorted(raw.scores.tolist(), reverse=True) and len(raw.scores) == QUERIES

    def classes(**changes: Any) -> list[int]:
        return model(inputs, replace(usual, **changes))[0].class_ids.tolist()

    every = raw.class_ids.tolist()
    assert classes(classes=frozenset({0, 2})) == [c for c in every if c in (0, 2)] != []
    assert classes(classes=frozenset({0, 2}), max_instances=2) == [c for c in every if c in (0, 2)][:2]
    assert classes(classes=frozenset()) == classes(score_threshold=1.0) == []
    score = raw.scores[3].item()  # a score equal to the threshold is dropped
    assert classes(score_threshold=score) == every[:3]
    assert replace(model, top_k=5)(inputs, usual)[0].class_ids.tolist() == every[:5]


@pytest.mark.parametrize("size", SIZES)
def test_an_image_without_objects_gives_empty_results(size: tuple[int, int], model: RfDetrModel) -> None:
    options = replace(model.default_options, score_threshold=1.0)
    found = Engine(model, CPU).segment(Frame(picture(size), "rgb"), options)
    assert len(found.instances) == 0 and found.instances.boxes_xyxy.shape == (0, 4)
    assert found.panoptic is not None and found.panoptic.segments == ()


def test_boxes_stay_inside_the_image() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.0, 1.0, 0.5, 0.5], [0.5, 0.5, 3.0, 3.0]])
    assert pixel_boxes(boxes, (40, 80)).tolist() == [[20, 10, 60, 30], [0, 30, 20, 40], [0, 0, 80, 40]]
    assert pixel_boxes(boxes[:0], (40, 80)).shape == (0, 4)


@pytest.mark.parametrize("size", [(300, 231), (31, 200), (16, 16), (9, 400)])
def test_masks_equal_those_of_whole_interpolated_images(size: tuple[int, int], model: RfDetrModel) -> None:
    """Also where rounding of the faster way decides: values are whole, so many pixels lie exactly on 0."""
    random = torch.Generator().manual_seed(0)
    masks = torch.randint(-2, 3, (12, 16, 16), generator=random).float()
    raw = replace(blocks(*[(0, 0.9)] * 8), mask_logits=masks[:8])
    whole = torch.nn.functional.interpolate(masks[None], size, mode="bilinear", align_corners=False)[0] > 0
    assert (torch.nn.functional.interpolate(masks[None], size, mode="bilinear") == 0).any()
    found = model.assemble(raw, size, model.default_options).instances
    for mask, expected in zip(found.masks, whole[:8], strict=True):
        assert np.array_equal(full(mask, size), expected.numpy())


def test_a_gpu_finds_the_same_in_few_waits(folder: Path) -> None:
    pretend = pytest.importorskip("pretend_cuda")
    frame, other = Frame(picture((120, 150)), "rgb"), Frame(picture((120, 150))[::-1], "rgb")
    host = Engine(load_model("auto", folder), CPU, "exact")
    options = replace(host.default_options, score_threshold=0.2)
    expected = host.segment(frame, options).instances
    with pretend.pretend_cuda(log=False) as gpu:
        engine = Engine(load_model("auto", folder), torch.device("cuda", 0), "exact")
        engine.segment(other, options)
        gpu.waits.clear()
        found = engine.segment(frame, options).instances
        # one for scores and boxes, two for the crops, the clock's, and one within the library's network
        assert len(gpu.waits) <= 5, "\n".join(map(str, gpu.waits))
    assert found.class_ids.tolist() == expected.class_ids.tolist() and len(found) > 3
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-5)
    for mask, theirs in zip(found.masks, expected.masks, strict=True):
        assert np.array_equal(full(mask, (120, 150)), full(theirs, (120, 150)))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 0.1), ("fp16", 0.01)])
def test_fast_precisions_find_nearly_the_same_objects(
    precision: Precision, tolerance: float, folder: Path
) -> None:
    exact, fast = (raw_in(name, folder) for name in ("exact", precision))
    for i in range(2):  # the best; rounding may change the order, and which queries the encoder proposes
        same = (fast.class_ids == exact.class_ids[i]).nonzero()[:, 0]
        scores = (fast.scores[same] - exact.scores[i]).abs()
        masks = (fast.mask_logits[same].sigmoid() - exact.mask_logits[i].sigmoid()).abs().mean(dim=(1, 2))
        assert torch.maximum(scores, masks).min() < tolerance


def raw_in(precision: Precision, folder: Path) -> RfDetrPrediction:
    model = load_model("auto", folder)
    apply_precision(model.network, precision)
    options = replace(model.default_options, score_threshold=0.1)
    (raw,) = model(model.prepare([Frame(picture((48, 80)), "rgb")], CPU), options)
    assert raw.scores.dtype == raw.mask_logits.dtype == raw.boxes.dtype == torch.float32
    return raw


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_folder_with_the_librarys_own_names_of_tensors_loads_too(
    model: RfDetrModel, tmp_path: Path
) -> None:
    folder = write_rf_detr_folder(tmp_path)
    model.network.save_pretrained(folder, save_original_format=False)
    again = load_model("auto", folder)
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, model.network.state_dict()[name]), name


def test_a_folder_without_a_mask_head_is_refused_by_name(model: RfDetrModel, tmp_path: Path) -> None:
    folder = write_rf_detr_folder(tmp_path)
    transformers.RfDetrForObjectDetection(model.network.config).save_pretrained(folder)
    with pytest.raises(
        LoadError, match="holds a RfDetrForObjectDetection, a RfDetrForInstanceSegmentation is needed"
    ):
        load_model("auto", folder)


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        (
            "preprocessor_config.json",
            {"size": {"height": 64, "width": 72}},
            "input is 72x64.* multiples of 16",
        ),
        ("config.json", {"group_detr": 10**9}, "group_detr: 1000000000, of at most 200"),
        ("config.json", {"num_queries": 10**6}, r"a network of \d+ numbers, the files hold"),
        ("config.json", {"model_type": "rt_detr"}, "model_type 'rt_detr'; known: mask2former, .*rf_detr"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    file: str, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = write_rf_detr_folder(tmp_path / "rf")
    change(folder / file, **values)
    with pytest.raises(LoadError, match=rf"rf: .*{message}"):
        load_model("transformers", folder)


def test_an_older_library_is_named_with_the_cure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["transformers"], "CONFIG_MAPPING", {"mask2former": None})
    with pytest.raises(RuntimeError, match=r"rf_detr is not in transformers \d.* pip install --upgrade"):
        load_model("auto", folder)


def test_labels_by_name_or_id_rename_classes_and_have_no_stuff(folder: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.yaml"
    labels.write_text("things: {1: someone, 5: mug}")
    things = load_model("auto", folder, labels=labels).labels.things
    assert things == {**dict(enumerate(NAMES)), 1: "someone", 5: "mug"}
    labels.write_text("things: [car]\nstuff: [sky]")
    with pytest.raises(LoadError, match="finds things only, but the labels name the stuff 'sky'"):
        load_model("auto", folder, labels=labels)
    labels.write_text("things: {6: tree}")
    with pytest.raises(LoadError, match="classes up to 5, but the labels name 6"):
        load_model("auto", folder, labels=labels)
