# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Ground truth of renders: what every pixel belongs to, in COCO's formats; and which kinds are held out."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pycocotools", reason="pycocotools is not installed")

from pycocotools import mask as coco_mask

from seg_node.evaluation.ground_truth import read_segment_map

TRAINING = Path(__file__).resolve().parents[2] / "embedded_model"
# Geoms: table, wall, two of a cup (body 3), one of a book (body 4), clutter (body 5, which no class names).
LABELS = ["table", "wall", "cup", "cup", "book", "other"]
BODIES: NDArray[np.int32] = np.array([0, 0, 3, 3, 4, 0], np.int32)


@pytest.fixture
def truth(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TRAINING))
    import render_truth  # type: ignore[import-not-found]

    assert isinstance(render_truth, ModuleType)
    return render_truth


def picture() -> NDArray[np.int32]:
    """20 x 30 geom numbers: a table, above it a wall and sky, a cup of 100 pixels, a book of only 39."""
    geoms: NDArray[np.int32] = np.zeros((20, 30), np.int32)
    geoms[:5], geoms[0] = 1, -1
    geoms[6:16, 2:7], geoms[6:16, 7:12] = 2, 3
    geoms[6:9, 15:28] = 4
    geoms[18, 3:6] = 5
    return geoms


def test_geoms_of_a_thing_are_one_segment_and_what_is_too_small_is_void(truth: ModuleType) -> None:
    ids, names = truth.segment_map(picture(), BODIES, LABELS)
    assert names == {1: "table", 3: "wall", 4: "other", 103: "cup"}
    assert (ids == 103).sum() == 100 and (ids[6:16, 2:12] == 103).all()
    assert (ids[6:9, 15:28] == 0).all()
    assert (ids[0] == 4).all() and (ids[18, 3:6] == 4).all()


def test_records_and_png_say_what_the_map_says(truth: ModuleType, tmp_path: Path) -> None:
    ids, names = truth.segment_map(picture(), BODIES, LABELS)
    (instance,) = truth.instance_records(ids, names, image_id=7)
    assert (instance["id"], instance["image_id"], instance["bbox"]) == (70103, 7, [2, 6, 10, 10])
    np.testing.assert_array_equal(coco_mask.decode(instance["segmentation"]), ids == 103)
    category_names = {category["id"]: category["name"] for category in truth.categories()}
    segments = truth.panoptic_record(ids, names, 7, "7.png")["segments_info"]
    assert {s["id"]: category_names[s["category_id"]] for s in segments} == names
    assert sum(segment["area"] for segment in segments) == ids.size - 39
    large = ids.copy()
    large[ids == 103] = 70_000  # all three bytes
    truth.write_segment_png(tmp_path / "7.png", large)
    np.testing.assert_array_equal(read_segment_map(tmp_path / "7.png"), large)


def test_kinds_held_out_are_drawn_only_when_asked_for(
    truth: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import objects  # type: ignore[import-not-found]

    kinds = {
        category: {kind: lambda _, kind=kind: kind for kind in makers}
        for category, makers in objects.KINDS.items()
    }
    assert set(objects.HELD_OUT) <= {kind for makers in kinds.values() for kind in makers}
    monkeypatch.setattr(objects, "KINDS", kinds)
    rng = np.random.default_rng(0)
    usual = {objects.random_thing(rng) for _ in range(3000)}
    every = {kind for makers in kinds.values() for kind in makers}
    assert usual == every - set(objects.HELD_OUT)
    assert {objects.random_thing(rng, held_out=True) for _ in range(3000)} == every


def test_own_classes_are_named_and_none_of_their_kinds_is_left_unnamed(
    truth: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import objects
    from shapes import Thing  # type: ignore[import-not-found]

    kinds = {
        category: {kind: lambda _, kind=kind: Thing(f"a {kind}", [], 0.1, 0.1) for kind in makers}
        for category, makers in objects.KINDS.items()
    }
    monkeypatch.setattr(objects, "KINDS", kinds)
    rng = np.random.default_rng(0)
    scenes = [[thing.name for thing in objects.things_with_own(rng)] for _ in range(500)]
    unnamed = {f"a {kind}" for own in objects.OWN.values() for kind in own}
    assert set(objects.OWN) == set(truth.OWN)
    assert not any(unnamed & set(names) for names in scenes)
    assert {sum(name in truth.OWN for name in names) for names in scenes} == {1, 2}
    assert all(sum(name not in truth.OWN for name in names) in range(3, 9) for names in scenes)


def test_only_the_wanted_classes_are_annotated(truth: ModuleType) -> None:
    ids, names = truth.segment_map(picture(), BODIES, ["table", "wall", "basket", "basket", "cup", "other"])
    assert truth.instance_records(ids, names, 7) == []
    (basket,) = truth.instance_records(ids, names, 7, wanted=truth.OWN)
    assert {c["id"]: c["name"] for c in truth.named_categories(truth.OWN)}[basket["category_id"]] == "basket"
