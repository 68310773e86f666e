# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Panoptic quality of predicted panoptic maps against the ground truth, over a set of images.

Definition: Kirillov et al., Panoptic Segmentation, CVPR 2019, section 4. Details as in its reference,
panopticapi evaluation.py: pq_compute_single_core and PQStat.pq_average; the numbers are the same where the
areas stated in the ground truth are those of its maps.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seg_node.evaluation.coco_fields import Id
from seg_node.untrusted.printable import listed

VOID = 0
_NO_CATEGORY = -1


@dataclass(frozen=True)
class TrueSegment:
    """One segment of the ground truth.

    id: its value in the map, not 0. area: in pixels as stated in the ground truth, or None; the quality uses
    the map's own.
    is_crowd: a group that is not divided into objects; it is never a miss, and excuses predictions inside.
    """

    id: int
    category_id: Id
    area: int | None = None
    is_crowd: bool = False


@dataclass(frozen=True)
class CategoryQuality:
    """Matches of one category. Qualities are from 0 to 1, and 0 where the category does not occur."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0
    iou_sum: float = 0.0

    @property
    def occurs(self) -> bool:
        """Whether the category is in the ground truth or in a prediction that counts."""
        return self.true_positives + self.false_positives + self.false_negatives > 0

    @property
    def pq(self) -> float:
        return self.sq * self.rq

    @property
    def sq(self) -> float:
        return self.iou_sum / self.true_positives if self.true_positives else 0.0

    @property
    def rq(self) -> float:
        mistakes = self.false_positives + self.false_negatives
        return self.true_positives / (self.true_positives + mistakes / 2) if self.occurs else 0.0


@dataclass(frozen=True)
class MeanQuality:
    """Means over the categories that occur; None when none does."""

    pq: float | None
    sq: float | None
    rq: float | None
    num_categories: int


@dataclass(frozen=True)
class PanopticResult:
    """Qualities so far; `categories` has all, also those that do not occur."""

    all: MeanQuality
    things: MeanQuality
    stuff: MeanQuality
    categories: Mapping[Id, CategoryQuality] = field(default_factory=dict)


class PanopticQuality:
    """Compare panoptic maps with the ground truth, image by image, and sum up."""

    def __init__(self, things: Iterable[Id], stuff: Iterable[Id]) -> None:
        """Score these categories.

        Segments of other categories may be in the ground truth: they are neither hits nor misses, and a
        prediction on top of them is as wrong as elsewhere.
        """
        self._things, self._stuff = list(things), list(stuff)
        self._row = {category: row for row, category in enumerate([*self._things, *self._stuff])}
        self._counts = np.zeros((len(self._row), 3), np.int64)  # true and false positives, false negatives
        self._iou_sums = np.zeros(len(self._row))

    def add(
        self,
        predicted_map: NDArray[np.integer],
        predicted: Mapping[int, Id],
        true_map: NDArray[np.integer],
        true_segments: Sequence[TrueSegment],
    ) -> None:
        """Add one image.

        predicted_map, true_map: (H, W) integers, segment ids, 0 void.
        predicted: category id of each predicted segment by segment id.

        Raises ValueError, without a change to the sums, when the maps differ in size, a segment is in a map
        but not in its list or vice versa, or a predicted category is not scored.
        """
        if predicted_map.shape != true_map.shape:
            raise ValueError(
                f"the prediction has (height, width) {predicted_map.shape}, the ground truth {true_map.shape}"
            )
        unknown = [category for category in dict.fromkeys(predicted.values()) if category not in self._row]
        if unknown:
            raise ValueError(f"predicted category ids {listed(unknown)} are not among those to score")
        true_ids = [segment.id for segment in true_segments]
        rows = _positions(true_map, true_ids, "ground truth")
        columns = _positions(predicted_map, list(predicted), "prediction")
        shape = len(true_ids) + 1, len(predicted) + 1
        overlaps = np.bincount((rows * shape[1] + columns).reshape(-1), minlength=shape[0] * shape[1])
        overlaps = overlaps.reshape(shape)
        _check_present(overlaps.sum(1), true_ids, "ground truth")
        _check_present(overlaps.sum(0), list(predicted), "prediction")
        self._count(overlaps, list(predicted.values()), true_segments)

    def result(self) -> PanopticResult:
        """Return the qualities over all images added so far."""
        categories = {
            category: CategoryQuality(hits, wrong, missed, iou_sum)
            for category, (hits, wrong, missed), iou_sum in zip(
                self._row, self._counts.tolist(), self._iou_sums.tolist(), strict=True
            )
        }
        return PanopticResult(
            all=_mean(categories.values()),
            things=_mean(categories[category] for category in self._things),
            stuff=_mean(categories[category] for category in self._stuff),
            categories=categories,
        )

    def _count(
        self, overlaps: NDArray[np.int64], categories: list[Id], true_segments: Sequence[TrueSegment]
    ) -> None:
        """Match segments. overlaps: (1 + true, 1 + predicted) pixels in common; row and column 0 are void."""
        predicted_rows = np.array([self._row[category] for category in categories], np.int64)
        true_rows = np.array([self._row.get(s.category_id, _NO_CATEGORY) for s in true_segments], np.int64)
        crowd = np.array([segment.is_crowd for segment in true_segments], bool)
        true_areas, predicted_areas = overlaps[1:].sum(1), overlaps[:, 1:].sum(0)
        in_void, common = overlaps[VOID, 1:], overlaps[1:, 1:]

        unions = true_areas[:, None] + predicted_areas - common - in_void
        ious = np.divide(common, unions, out=np.zeros(common.shape), where=common > 0)
        same = (true_rows[:, None] == predicted_rows) & ~crowd[:, None]
        matched = same & (ious > 0.5)

        crowd_of = {true_rows[index]: index for index in np.flatnonzero(crowd)}  # the last, of several
        in_crowd = [
            common[crowd_of[row], index] if row in crowd_of else 0 for index, row in enumerate(predicted_rows)
        ]
        excused = (in_void + np.array(in_crowd, np.int64)) / predicted_areas > 0.5
        wrong = ~matched.any(0) & ~excused
        missed = ~matched.any(1) & ~crowd & (true_rows != _NO_CATEGORY)

        hit_rows = true_rows[np.nonzero(matched)[0]]
        for column, hits in enumerate((hit_rows, predicted_rows[wrong], true_rows[missed])):
            self._counts[:, column] += np.bincount(hits, minlength=len(self._row))
        self._iou_sums += np.bincount(hit_rows, weights=ious[matched], minlength=len(self._row))


def _positions(id_map: NDArray[np.integer], ids: Sequence[int], side: str) -> NDArray[np.int64]:
    """Return (H, W): 0 where the map is void, i + 1 where it has the i-th of the ids."""
    if len({VOID, *ids}) <= len(ids):
        twice = sorted(i for i, count in Counter([VOID, *ids]).items() if count > 1)
        raise ValueError(f"{side}: segment ids {listed(twice)} are listed twice, or 0, which is void")
    known = np.array([VOID, *ids], np.int64)
    order = np.argsort(known)
    found = order[np.searchsorted(known, id_map, sorter=order).clip(max=len(known) - 1)]
    unlisted = known[found] != id_map
    if unlisted.any():
        raise ValueError(
            f"{side}: segment ids {listed(np.unique(id_map[unlisted]))} are in the map, "
            "but not in the list of segments"
        )
    return found


def _check_present(areas: NDArray[np.int64], ids: Sequence[int], side: str) -> None:
    absent = [segment_id for segment_id, area in zip(ids, areas[1:], strict=True) if area == 0]
    if absent:
        raise ValueError(
            f"{side}: segment ids {listed(absent)} are in the list of segments, but not in the map"
        )


def _mean(categories: Iterable[CategoryQuality]) -> MeanQuality:
    occurring = [category for category in categories if category.occurs]
    if not occurring:
        return MeanQuality(None, None, None, 0)
    pq, sq, rq = np.mean([(category.pq, category.sq, category.rq) for category in occurring], axis=0).tolist()
    return MeanQuality(pq, sq, rq, len(occurring))
