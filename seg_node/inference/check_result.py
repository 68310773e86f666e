# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Check that a model's result can be published: scores, boxes, classes and sizes are valid. No ROS."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from seg_node.errors import Refused
from seg_node.masks.overlap import bounds_xyxy
from seg_node.types import Instances, LabelSet, PanopticSegments, Segmentation

SLACK = 1e-3  # of a score beyond 1: rounding of half precision


class BadResult(Refused, ValueError):
    """A model returned a result that no image can have."""

    def __init__(self, text: str) -> None:
        super().__init__("bad_result", text)


def check_segmentation(segmentation: Segmentation, labels: LabelSet) -> None:
    """Check every number but the pixels, which takes 0.1 ms for 100 instances.

    Raises BadResult, which names the first invalid instance: scores that are not 0 to 1, boxes that are not
    finite or whose edges are swapped, classes beyond the labels', masks beyond the image, columns
    of different lengths; of the panoptic map its size, and scores and classes of its segments.
    """
    labels = segmentation.labels or labels
    last = max((*labels.things, *labels.stuff), default=None)
    _check_instances(segmentation.instances, segmentation.image_size, last)
    if segmentation.panoptic is not None:
        _check_panoptic(segmentation.panoptic, segmentation.image_size, last)


def _check_instances(found: Instances, image_size: tuple[int, int], last_class: int | None) -> None:
    count = len(found)
    shapes = [column.shape for column in (found.scores, found.class_ids, found.ids, found.boxes_xyxy)]
    if shapes != [(count,), (count,), (count,), (count, 4)]:
        raise BadResult(f"the model gave {count} masks, but scores, classes, ids, boxes of shapes {shapes}")
    if not count:
        return
    _refuse(~_is_score(found.scores), "score", found.scores, "scores are 0 to 1")
    boxes = found.boxes_xyxy
    x_min, y_min, x_max, y_max = boxes.T
    upright = (x_min <= x_max) & (y_min <= y_max)  # false with NaN
    finite = np.abs(boxes).max(axis=1) < np.inf
    _refuse(~(upright & finite), "box", boxes, "boxes are x_min, y_min, x_max, y_max")
    _refuse(~_is_class(found.class_ids, last_class), "class", found.class_ids, _known(last_class))
    edges, (height, width) = bounds_xyxy(found.masks), image_size
    left, top, right, bottom = edges.T
    inside = (left >= 0) & (top >= 0) & (right <= width) & (bottom <= height)
    _refuse(~inside, "mask over", edges, f"the image is {width}x{height}")


def _check_panoptic(panoptic: PanopticSegments, image_size: tuple[int, int], last_class: int | None) -> None:
    if panoptic.segment_map.shape != image_size:
        raise BadResult(
            f"the model's panoptic map is of shape {panoptic.segment_map.shape}, the image {image_size}"
        )
    scores = np.array([segment.score for segment in panoptic.segments], np.float64)
    _refuse(~_is_score(scores), "segment score", scores, "scores are 0 to 1")
    class_ids = np.array([segment.class_id for segment in panoptic.segments], np.int64)
    _refuse(~_is_class(class_ids, last_class), "segment class", class_ids, _known(last_class))


def _is_score(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    return (values >= 0) & (values <= 1 + SLACK)


def _is_class(ids: NDArray[np.integer], last: int | None) -> NDArray[np.bool_]:
    """Accept ids without a name below the last one, too: COCO's numbering has gaps."""
    return (ids >= 0) & (ids <= (np.iinfo(np.int32).max if last is None else last))


def _known(last: int | None) -> str:
    return "classes count from 0" if last is None else f"the labels end at class {last}"


def _refuse(at_fault: NDArray[np.bool_], what: str, values: Iterable[object], rule: str) -> None:
    if not at_fault.any():
        return
    place = int(at_fault.argmax())
    raise BadResult(
        f"the model gave a {what} {list(values)[place]!s}, of result {place + 1} of {len(at_fault)} "
        f"({np.count_nonzero(at_fault)} such): {rule}; its weights or its exported file are damaged, or it "
        "overflows in this precision (precision: exact)"
    )
