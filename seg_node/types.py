# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The data that passes through seg_node: a camera frame in, a segmentation out. No torch, no ROS.

Coordinates are pixels of the source image, x right, y down. Sizes are (height, width).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Channels = Literal["bgr", "rgb", "bgra", "rgba", "mono"]
MaskEncoding = Literal["mono8", "bits", "rle"]


@dataclass(frozen=True)
class Frame:
    """One decoded camera image.

    pixels: uint8, (H, W, 3), (H, W, 4) or for mono (H, W); may be a strided view of the message's bytes.
    channels: order of the last axis.
    stamp_ns, frame_id: from the source header, copied to every output unchanged.
    """

    pixels: NDArray[np.uint8]
    channels: Channels
    stamp_ns: int = 0
    frame_id: str = ""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True)
class Roi:
    """Half-open integer rectangle: columns x_offset … x_offset+width-1, rows likewise."""

    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns: `image[roi.slices]` is a view of the rectangle in an image that holds it."""
        return (
            slice(self.y_offset, self.y_offset + self.height),
            slice(self.x_offset, self.x_offset + self.width),
        )


@dataclass(frozen=True)
class MaskCrop:
    """The pixels of one object, stored only inside its region of interest.

    x_offset, y_offset: column and row of the crop's first pixel in the image.
    pixels: bool (h, w); (0, 0) when no pixel of the object is visible.
    """

    x_offset: int
    y_offset: int
    pixels: NDArray[np.bool_]

    @property
    def roi(self) -> Roi:
        """The crop's rectangle in the image."""
        height, width = self.pixels.shape
        return Roi(self.x_offset, self.y_offset, width, height)

    @cached_property  # because several steps of a frame need it
    def area(self) -> int:
        """The object's number of pixels."""
        return int(np.count_nonzero(self.pixels))

    @staticmethod
    def empty() -> "MaskCrop":
        return MaskCrop(0, 0, np.zeros((0, 0), np.bool_))


@dataclass(frozen=True)
class Instances:
    """N objects of one image, sorted by descending score.

    boxes_xyxy: float32 (N, 4), continuous edges (x_min, y_min, x_max, y_max).
    scores: float32 (N,). class_ids: int32 (N,), in the numbering of the model's labels.
    masks: N crops at image resolution.
    ids: uint32 (N,), unique in the frame, from 1.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    masks: tuple[MaskCrop, ...]
    ids: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.masks)

    def scored_over(self, score: float) -> "Instances":
        """Select the instances with scores above this one."""
        return self.select(np.flatnonzero(self.scores > score))

    def select(self, indices: NDArray[np.intp]) -> "Instances":
        """Select the instances at these indices, in that order; they keep their ids."""
        return Instances(
            self.boxes_xyxy[indices],
            self.scores[indices],
            self.class_ids[indices],
            tuple(self.masks[i] for i in indices),
            self.ids[indices],
        )

    @staticmethod
    def empty() -> "Instances":
        return Instances(
            boxes_xyxy=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            class_ids=np.zeros(0, np.int32),
            masks=(),
            ids=np.zeros(0, np.uint32),
        )


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map.

    score: 0 for stuff that the model does not score. instance_id: 0 for stuff, and for a thing that is not
    among the instances.
    """

    id: int
    class_id: int
    is_thing: bool
    score: float
    area: int
    roi: Roi
    instance_id: int


@dataclass(frozen=True)
class PanopticSegments:
    """A panoptic map and its segments.

    segment_map: uint16 (H, W), 0 void, otherwise the id of one of `segments`.
    """

    segment_map: NDArray[np.uint16]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Segmentation:
    """The result of segmenting one frame.

    panoptic: None if it was not requested.
    stage_ms: wall time of each step in milliseconds (prepare, infer, assemble).
    labels: the names of its classes where they belong to this frame, not to the model: its prompts.
    """

    image_size: tuple[int, int]
    instances: Instances
    panoptic: PanopticSegments | None = None
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    labels: "LabelSet | None" = None


@dataclass(frozen=True)
class LabelSet:
    """Names of a model's classes; things and stuff share one numbering (class_id → name).

    groups: by the name of a group in the user's labels file, the names of the checkpoint's classes in it.
    """

    things: Mapping[int, str]
    stuff: Mapping[int, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def name(self, class_id: int) -> str:
        """The class's name, or its number as text if the checkpoint has no names."""
        return self.things.get(class_id) or self.stuff.get(class_id) or str(class_id)

    def ids(self, names: Iterable[str]) -> frozenset[int]:
        """Class ids of the given names.

        Raises ValueError for an unknown name; it lists the known ones.
        """
        known = {name: class_id for class_id, name in [*self.stuff.items(), *self.things.items()]}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"unknown class {', '.join(unknown)}; this model knows: {', '.join(known)}")
        return frozenset(known[name] for name in names)


@dataclass(frozen=True)
class SegmentOptions:
    """Options that may change from frame to frame; a model's `default_options` are those of its reference.

    score_threshold: instances with a score at or below it are dropped.
    nms_threshold: of two boxes of one class with a higher IoU, the one with the lower score is dropped; also
    of two objects of one group of the labels file, by the IoU of their masks.
    duplicate_iou: of two objects of any classes whose masks have a higher IoU, the one with the lower score
    is dropped; 1 keeps all, as every reference does.
    mask_threshold: pixels with at least this probability belong to the object (YOLACT, SOLO, RF-DETR:
    above it).
    max_instances: the instances with the highest scores are kept.
    min_area: instances with fewer mask pixels are dropped (0 keeps empty masks too).
    classes: class ids to keep, None for all.
    prompts: what a model that takes text is to find, see `with_prompts`; None: the model takes none.
    panoptic: whether to build the panoptic map. Things with a score of at least panoptic_score_threshold
    occupy the pixels that are still free; a thing is dropped if more than panoptic_overlap_threshold of it is
    occupied already, and stuff if it has fewer than panoptic_stuff_min_area pixels.
    """

    score_threshold: float
    nms_threshold: float = 0.5
    duplicate_iou: float = 1.0
    mask_threshold: float = 0.5
    max_instances: int = 100
    min_area: int = 0
    classes: frozenset[int] | None = None
    prompts: tuple[str, ...] | None = None
    panoptic: bool = True
    panoptic_score_threshold: float = 0.5
    panoptic_overlap_threshold: float = 0.5
    panoptic_stuff_min_area: int = 4096

    def with_score_threshold(self, score_threshold: float | None) -> "SegmentOptions":
        """The options with another score threshold; None keeps it. Raises ValueError unless it is 0 to 1."""
        if score_threshold is None:
            return self
        if not 0 <= score_threshold <= 1:
            raise ValueError(
                f"score_threshold {score_threshold:g} is out of range; give a number from 0 to 1"
            )
        return replace(self, score_threshold=score_threshold)
