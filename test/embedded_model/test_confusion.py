# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Counts of confused, missed and false detections, from pictures with known masks."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pycocotools", reason="pycocotools is not installed")

from pycocotools import mask as coco_mask

from seg_node.masks.crop import tight_crop
from seg_node.training.dataset import Picture
from seg_node.types import Instances

SIZE = 20, 30
CUP, BOWL = 1, 2
NAMES = {CUP: "cup", BOWL: "bowl"}
LEFT, MIDDLE, RIGHT = slice(2, 8), slice(11, 17), slice(20, 28)


@pytest.fixture
def confusion(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "embedded_model"))
    import confusion  # type: ignore[import-not-found]

    assert isinstance(confusion, ModuleType)
    return confusion


def mask(columns: slice) -> NDArray[np.bool_]:
    pixels = np.zeros(SIZE, bool)
    pixels[4:14, columns] = True
    return pixels


def found(*objects: tuple[int, slice]) -> Instances:
    """Objects of a class and columns, by descending score."""
    crops = tuple(tight_crop(mask(columns)) for _, columns in objects)
    count = len(objects)
    class_ids = np.array([class_id for class_id, _ in objects], np.int32)
    scores = np.linspace(0.9, 0.6, count).astype(np.float32)
    return Instances(
        np.zeros((count, 4), np.float32), scores, class_ids, crops, np.arange(1, count + 1, dtype=np.uint32)
    )


def picture(
    *objects: tuple[int, slice],
    crowds: Sequence[slice] = (),
    exhaustive: tuple[bool, ...] = (True, True, True),
) -> Picture:
    encoded = [coco_mask.encode(np.asfortranarray(mask(columns), np.uint8)) for _, columns in objects]
    ignored = tuple(coco_mask.encode(np.asfortranarray(mask(columns), np.uint8)) for columns in crowds)
    labels = tuple(label for label, _ in objects)
    return Picture(Path("x.png"), SIZE, labels, tuple(encoded), ignored, exhaustive, None, {})


@pytest.mark.parametrize(
    ("ious", "matches"),
    [
        (np.zeros((0, 0)), []),
        (np.zeros((2, 0)), [-1, -1]),
        (np.zeros((0, 2)), []),
        ([[0.5]], [0]),
        ([[0.49]], [-1]),
        ([[0.6, 0.9], [0.7, 0.8]], [1, 0]),
        ([[0.9], [0.95]], [0, -1]),
    ],
)
def test_each_true_object_is_matched_once_and_high_scores_choose_first(
    confusion: ModuleType, ious: NDArray[np.float64], matches: list[int]
) -> None:
    assert confusion.match_objects(np.asarray(ious, float)) == matches


def test_hits_confusions_misses_and_false_detections_are_counted_by_class(confusion: ModuleType) -> None:
    errors = confusion.Errors()
    truth = picture((CUP, LEFT), (CUP, MIDDLE), (BOWL, RIGHT))
    confusion.count_errors(errors, found((CUP, LEFT), (BOWL, MIDDLE), (CUP, slice(0, 3))), truth)
    assert errors.pairs == Counter({(CUP, CUP): 1, (CUP, BOWL): 1, (BOWL, 0): 1, (0, CUP): 1})
    assert errors.pictures == 1 and errors.empty == 0


def test_detections_in_crowds_and_of_classes_that_are_not_exhaustive_are_no_errors(
    confusion: ModuleType,
) -> None:
    errors = confusion.Errors()
    truth = picture(crowds=[LEFT], exhaustive=(True, True, False))
    confusion.count_errors(errors, found((CUP, LEFT), (BOWL, RIGHT)), truth)
    assert not errors.pairs and errors.empty == 0


def test_detections_on_pictures_without_labelled_things_are_counted(confusion: ModuleType) -> None:
    errors = confusion.Errors()
    confusion.count_errors(errors, found((CUP, LEFT), (CUP, RIGHT)), picture())
    confusion.count_errors(errors, found(), picture())
    assert errors.empty == 2 and errors.false_on_empty == Counter({CUP: 2})


def test_the_table_has_the_share_found_under_its_own_name(confusion: ModuleType) -> None:
    import measure_errors  # type: ignore[import-not-found]

    pairs = Counter({(CUP, CUP): 3, (CUP, BOWL): 1, (0, BOWL): 2})
    lines = measure_errors.confusion_table(confusion.Errors(pairs, 1), NAMES).splitlines()
    assert lines[2:] == ["| cup | 3 | 1 | 0 | 75% |", "| nothing |  | 2 |  |  |"]
