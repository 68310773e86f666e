# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the transformers library give the library's own results."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

transformers = pytest.importorskip("transformers")

from thin_transformers import (  # noqa: E402
    KINDS,
    LABELS,
    NAMES,
    RGB,
    library_inputs,
    read_processor,
    write_transformers_folder,
)

from seg_node.inference.engine import Engine  # noqa: E402
from seg_node.models.transformers.folder import load_transformers  # noqa: E402
from seg_node.models.transformers.model import QueryPrediction, TransformersModel  # noqa: E402
from seg_node.types import Frame, Roi, Segmentation, SegmentOptions  # noqa: E402

CPU = torch.device("cpu")
EOMTS = ("eomt", "eomt_dinov3", "videomt")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("transformers")
    return {kind: write_transformers_folder(root / kind, kind, NAMES) for kind in KINDS}


@pytest.fixture(scope="session")
def models(folders: dict[str, Path]) -> dict[str, TransformersModel]:
    return {kind: load_transformers(folder, LABELS) for kind, folder in folders.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threshold", [None, 0.1])
def test_objects_and_segments_are_the_librarys_own(
    kind: str, threshold: float | None, folders: dict[str, Path], models: dict[str, TransformersModel]
) -> None:
    model = models[kind]
    options = model.default_options
    if threshold is not None:
        options = replace(options, score_threshold=threshold, panoptic_score_threshold=threshold)
    processor = read_processor(folders[kind], kind)
    network = transformers.AutoModelForUniversalSegmentation.from_pretrained(folders[kind])
    with torch.inference_mode():
        output = network(**library_inputs(processor, RGB))

    found = Engine(model, CPU).segment(Frame(RGB, "rgb"), options)

    assert len(found.instances) > 1
    assert found.panoptic is not None and found.panoptic.segments
    if threshold is None and kind != "detr":
        assert len({segment.class_id for segment in found.panoptic.segments}) > 1
    assert_is_the_librarys(found, getattr(processor, "image_processor", processor), output, options)


@pytest.mark.parametrize("kind", KINDS)
def test_segments_have_the_ids_that_the_library_gives_them(
    kind: str, models: dict[str, TransformersModel]
) -> None:
    model, raw = models[kind], tiles([3, 0, 4, 1, 0, 3, 4, len(NAMES)])
    fuse = {"stuff_classes": [3, 4]} if kind in ("eomt", "eomt_dinov3") else {"label_ids_to_fuse": {3, 4}}
    (expected,) = model.image_processor.post_process_panoptic_segmentation(
        library_output(raw), target_sizes=[(64, 64)], **fuse
    )

    found = model.assemble(raw, (64, 64), model.default_options).panoptic

    assert found is not None
    first_id = 0 if kind in EOMTS else 1
    assert np.array_equal(found.segment_map, expected["segmentation"].numpy() + 1 - first_id)
    entries = {entry["id"] + 1 - first_id: entry for entry in reversed(expected["segments_info"])}
    assert [(s.id, s.class_id, s.score) for s in found.segments] == [
        (i, entries[i]["label_id"], entries[i]["score"]) for i in sorted(entries)
    ]
    assert [(s.class_id, s.is_thing) for s in found.segments] == [
        (3, False),
        (0, True),
        (4, False),
        (1, True),
        (0, True),
    ]
    if kind != "oneformer":  # its last object also owns the pixels of no object
        assert [s.instance_id for s in found.segments] == [0, 1, 0, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_thing_after_a_fused_segment_keeps_an_id_of_its_own(
    kind: str, models: dict[str, TransformersModel]
) -> None:
    model, raw = models[kind], tiles([3, 0, 4, 3, 1, 0, 4, 2])  # library 5.23 would give the person the car's

    found = model.assemble(raw, (64, 64), model.default_options)

    assert found.panoptic is not None
    assert [s.class_id for s in found.panoptic.segments] == [3, 0, 4, 1, 0, 2]
    assert np.array_equal(
        found.panoptic.segment_map, np.kron([[1, 2, 3, 1], [4, 5, 3, 6]], np.ones((32, 16)))
    )
    assert_is_the_librarys(found, model.image_processor, library_output(raw), model.default_options)


@pytest.mark.parametrize("channels", ["bgr", "rgba", "bgra", "mono"])
def test_channels_reach_the_network_as_rgb(channels: Any, models: dict[str, TransformersModel]) -> None:
    conversion = {"bgr": RGB[..., ::-1], "mono": RGB[..., 0]}
    alpha = np.full((*RGB.shape[:2], 1), 7, np.uint8)
    conversion["rgba"] = np.concatenate([RGB, alpha], axis=2)
    conversion["bgra"] = np.concatenate([RGB[..., ::-1], alpha], axis=2)
    same = np.repeat(RGB[..., :1], 3, axis=2) if channels == "mono" else RGB
    model = models["mask2former"]

    (found,) = model.prepare([Frame(conversion[channels], channels)], CPU)

    assert torch.equal(found["pixel_values"], model.prepare([Frame(same, "rgb")], CPU)[0]["pixel_values"])


def test_three_rows_are_not_mistaken_for_three_channels(
    models: dict[str, TransformersModel],
) -> None:
    frame = Frame(RGB[:3], "rgb")
    found = Engine(models["mask2former"], CPU).segment(frame, models["mask2former"].default_options)
    assert found.panoptic is not None and found.panoptic.segment_map.shape == (3, 80)


def test_a_frame_without_pixels_is_refused(models: dict[str, TransformersModel]) -> None:
    with pytest.raises(ValueError, match="0 rows and 80 columns"):
        models["mask2former"].prepare([Frame(RGB[:0], "rgb")], CPU)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_without_objects_gives_empty_results(
    kind: str, models: dict[str, TransformersModel]
) -> None:
    model = models[kind]
    found = model.assemble(tiles([len(NAMES)] * 8), (64, 64), model.default_options)
    assert len(found.instances) == 0 and found.instances.boxes_xyxy.shape == (0, 4)
    assert found.panoptic is not None and found.panoptic.segments == ()
    assert found.panoptic.segment_map.dtype == np.uint16 and not found.panoptic.segment_map.any()


def test_two_frames_of_different_size_are_each_as_alone(models: dict[str, TransformersModel]) -> None:
    model = models["mask2former"]
    frames = [Frame(RGB, "rgb"), Frame(RGB[:30, :70], "rgb")]
    batch = model(model.prepare(frames, CPU), model.default_options)
    for frame, raw in zip(frames, batch, strict=True):
        found = model.assemble(raw, frame.image_size, model.default_options)
        alone = Engine(model, CPU).segment(frame, model.default_options)
        assert found.panoptic is not None and alone.panoptic is not None
        assert found.panoptic.segments == alone.panoptic.segments and len(alone.panoptic.segments) > 1
        assert np.array_equal(found.instances.scores, alone.instances.scores)


def test_options_choose_among_the_objects(models: dict[str, TransformersModel]) -> None:
    model, raw = models["mask2former"], tiles([0, 1, 0, 2, 3, 3, 4, 4])
    scores = segment_tiles(model, raw).instances.scores

    def classes(**options: Any) -> list[int]:
        return segment_tiles(model, raw, **options).instances.class_ids.tolist()

    assert classes() == [0, 1, 0, 2] and sorted(scores.tolist(), reverse=True) == scores.tolist()
    assert classes(classes=frozenset({0, 2})) == [0, 0, 2]
    assert classes(max_instances=2) == [0, 1]
    assert classes(max_instances=2, classes=frozenset({2, 1})) == [1, 2]
    assert classes(min_area=512) == [0, 1, 0, 2] and classes(min_area=513) == []
    # float32, which the library rounds to 6 digits
    assert classes(score_threshold=float(scores[1]) + 1e-6) == [0]
    assert classes(score_threshold=float(scores[1]) - 1e-6) == [0, 1]


def test_an_object_scored_as_the_threshold_is_dropped(models: dict[str, TransformersModel]) -> None:
    raw = tiles([0] + [len(NAMES)] * 7)
    raw = QueryPrediction(raw.class_logits, torch.where(raw.mask_logits > 0, 1e4, -1e4))  # mask score of 1
    raw.class_logits[0] = torch.tensor([0.0, -1e4, -1e4, -1e4, -1e4, -1e4, 0.0])  # 0.5
    assert len(segment_tiles(models["eomt"], raw, score_threshold=0.5 - 1e-6).instances) == 1
    assert len(segment_tiles(models["eomt"], raw, score_threshold=0.5).instances) == 0


def test_options_choose_among_the_segments(models: dict[str, TransformersModel]) -> None:
    model, raw = models["mask2former"], tiles([0, 1, 0, 2, 3, 3, 4, 6])

    def classes(**options: Any) -> list[int]:
        panoptic = segment_tiles(model, raw, **options).panoptic
        assert panoptic is not None
        present = set(np.unique(panoptic.segment_map).tolist()) - {0}
        assert present == {segment.id for segment in panoptic.segments}
        return [segment.class_id for segment in panoptic.segments]

    assert classes() == [0, 1, 0, 2, 3, 4]
    assert classes(classes=frozenset({1, 4})) == [1, 4]
    assert classes(panoptic_stuff_min_area=600) == [0, 1, 0, 2, 3]
    assert classes(panoptic_score_threshold=0.999) == []
    assert segment_tiles(model, raw, panoptic=False).panoptic is None


def test_default_options_are_the_librarys_thresholds(models: dict[str, TransformersModel]) -> None:
    for kind, model in models.items():
        options = model.default_options
        assert options.panoptic_score_threshold == (0.8 if kind in EOMTS else 0.5)
        assert options.score_threshold in (0.5, options.panoptic_score_threshold)  # EoMT: by version
        assert (options.mask_threshold, options.panoptic_stuff_min_area, options.max_instances) == (
            0.5,
            0,
            12,
        )


def tiles(classes: list[int]) -> QueryPrediction:
    """Make eight queries, each a tile of the image, row by row, with falling scores."""
    masks = torch.full((8, 64, 64), -30.0)
    logits = torch.zeros(8, len(NAMES) + 1)
    for i, class_id in enumerate(classes):
        row, column = divmod(i, 4)
        masks[i, row * 32 : row * 32 + 32, column * 16 : column * 16 + 16] = 30
        logits[i, class_id] = 7 - 0.5 * i
    return QueryPrediction(logits, masks)


def library_output(raw: QueryPrediction) -> SimpleNamespace:
    classes, masks = raw.class_logits[None], raw.mask_logits[None]
    return SimpleNamespace(
        logits=classes, pred_masks=masks, class_queries_logits=classes, masks_queries_logits=masks
    )


def segment_tiles(model: TransformersModel, raw: QueryPrediction, **options: Any) -> Segmentation:
    return model.assemble(raw, (64, 64), replace(model.default_options, **options))


def assert_is_the_librarys(found: Segmentation, processor: Any, output: Any, options: SegmentOptions) -> None:
    """Compare with the library's post-processing of its network's complete output."""
    is_oneformer = "OneFormer" in type(processor).__name__
    is_former = type(processor).__name__.startswith("Mask")
    common: dict[str, Any] = {"target_sizes": [found.image_size]}
    (answer,) = processor.post_process_instance_segmentation(
        output,
        threshold=options.score_threshold,
        **common,
        **({"return_binary_maps": True} if is_former else {}),
        **({"task_type": "panoptic"} if is_oneformer else {}),
    )
    expected = read_answer(answer)
    assert_same_objects(found, [entry for entry in expected if entry[0] in LABELS.things])

    (answer,) = processor.post_process_panoptic_segmentation(
        output, threshold=options.panoptic_score_threshold, **common
    )
    merged: dict[Any, tuple[int, float, NDArray[np.bool_]]] = {}
    for i, (class_id, score, mask) in enumerate(read_answer(answer)):
        key = ("stuff", class_id) if class_id in LABELS.stuff else ("thing", i)
        first = merged.setdefault(key, (class_id, score, np.zeros_like(mask)))
        first[2][mask] = True
    assert found.panoptic is not None
    assert len(found.panoptic.segments) == len(merged)
    for number, (segment, (class_id, score, mask)) in enumerate(
        zip(found.panoptic.segments, merged.values(), strict=True), start=1
    ):
        assert (segment.id, segment.class_id, segment.score) == (number, class_id, score)
        assert segment.is_thing == (class_id in LABELS.things)
        assert np.array_equal(found.panoptic.segment_map == number, mask)
        rows, columns = np.nonzero(mask)
        assert segment.area == len(rows)
        assert segment.roi == Roi(
            columns.min(), rows.min(), columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min()
        )
        if segment.instance_id:
            instance = segment.instance_id - 1
            full = full_mask(found, instance)
            assert np.count_nonzero(full & mask) > 0.5 * np.count_nonzero(full | mask)
            assert found.instances.class_ids[instance] == class_id


def read_answer(answer: dict[str, Any]) -> list[tuple[int, float, NDArray[np.bool_]]]:
    """List (class, score, mask) of each segment."""
    maps = answer["segmentation"].numpy()
    return [
        (entry["label_id"], entry["score"], maps[i] == 1 if maps.ndim == 3 else maps == entry["id"])
        for i, entry in enumerate(answer["segments_info"])
    ]


def assert_same_objects(found: Segmentation, expected: list[tuple[int, float, NDArray[np.bool_]]]) -> None:
    instances = found.instances
    assert len(instances) == len(expected)
    assert np.all(np.diff(instances.scores) <= 0)
    assert instances.ids.tolist() == list(range(1, len(expected) + 1))
    expected = list(expected)
    for i in range(len(instances)):
        mask, class_id = full_mask(found, i), instances.class_ids[i]
        # objects with equal scores may come in any order
        match = next(
            n
            for n, entry in enumerate(expected)
            if (entry[0], np.float32(entry[1])) == (class_id, instances.scores[i])
            and (entry[2] == mask).all()
        )
        del expected[match]
        rows, columns = np.nonzero(mask)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0] * 4
        assert instances.boxes_xyxy[i].tolist() == box


def full_mask(found: Segmentation, i: int) -> NDArray[np.bool_]:
    crop, mask = found.instances.masks[i], np.zeros(found.image_size, np.bool_)
    height, width = crop.pixels.shape
    mask[crop.y_offset : crop.y_offset + height, crop.x_offset : crop.x_offset + width] = crop.pixels
    return mask
