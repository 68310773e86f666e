"""The data that travels through seg_node: a camera frame in, a segmentation out. No torch, no ROS.

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
ModelFamily = Literal["embedded", "torchvision", "detectron2", "yolact", "solo", "transformers"]


@dataclass(frozen=True)
class Frame:
    """One decoded camera image.

    pixels: uint8, (H, W, 3), (H, W, 4) or for mono (H, W); may be a strided view of the message's bytes.
    channels: order of the last axis.
    stamp_ns, frame_id: the source header, carried to every output unchanged.
    """

    pixels: NDArray[np.uint8]
    channels: Channels
    stamp_ns: int = 0
    frame_id: str = ""

    @property
    def image_size(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]


@dataclass(frozen=True)
class Roi:
    """Half-open integer rectangle: columns x_offset … x_offset+width-1, rows likewise."""

    x_offset: int = 0
    y_offset: int = 0
    width: int = 0
    height: int = 0


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
        height, width = self.pixels.shape
        return Roi(self.x_offset, self.y_offset, width, height)

    @cached_property  # asked for by several steps of a frame
    def area(self) -> int:
        return int(np.count_nonzero(self.pixels))

    @staticmethod
    def empty() -> "MaskCrop":
        return MaskCrop(0, 0, np.zeros((0, 0), np.bool_))


@dataclass(frozen=True)
class Instances:
    """N objects of one image, sorted by falling score.

    boxes_xyxy: float32 (N, 4), continuous edges (x_min, y_min, x_max, y_max).
    scores: float32 (N,). class_ids: int32 (N,), as the checkpoint counts.
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
        """Those with greater scores."""
        return self.select(np.flatnonzero(self.scores > score))

    def select(self, indices: NDArray[np.intp]) -> "Instances":
        """Those at the given places, in that order, with their ids."""
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
    """One entry of a panoptic map.

    score: 0 for stuff where the model does not score it. instance_id: 0 for stuff, and for a thing that is
    not among the instances.
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
    """segment_map: uint16 (H, W), 0 void, otherwise the id of one of `segments`."""

    segment_map: NDArray[np.uint16]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Segmentation:
    """All that one frame's way through a model gives.

    panoptic: None when it was not asked for.
    stage_ms: wall time of each step in milliseconds (prepare, infer, assemble).
    """

    image_size: tuple[int, int]
    instances: Instances
    panoptic: PanopticSegments | None = None
    stage_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelSet:
    """Names of a model's classes; things and stuff share one numbering (class_id → name)."""

    things: Mapping[int, str]
    stuff: Mapping[int, str] = field(default_factory=dict)

    def name(self, class_id: int) -> str:
        """The class's name, or its number as text when the checkpoint brings no names."""
        return self.things.get(class_id) or self.stuff.get(class_id) or str(class_id)

    def ids(self, names: Iterable[str]) -> frozenset[int]:
        """Class ids of the given names.

        Raises ValueError that lists the known names when one is unknown.
        """
        known = {name: class_id for class_id, name in [*self.stuff.items(), *self.things.items()]}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"unknown class {', '.join(unknown)}; this model knows: {', '.join(known)}")
        return frozenset(known[name] for name in names)


@dataclass(frozen=True)
class SegmentOptions:
    """What may change from frame to frame. Each model's `default_options` holds its reference's own values.

    score_threshold: instances scored at or below it are left out.
    nms_threshold: of two boxes of a class that overlap by more (IoU), the lower-scored one is left out.
    duplicate_iou: of two objects of any classes whose masks overlap by more (IoU), the lower-scored one is
    left out; 1 keeps all, as every reference does.
    mask_threshold: a pixel is the object's at or above this probability (YOLACT and SOLO: above).
    max_instances: best-scored ones are kept.
    min_area: instances with fewer mask pixels are left out (0 keeps empty masks too).
    classes: class ids to keep, None for all.
    panoptic: whether to make the panoptic map, and its rules: things at or above
    panoptic_score_threshold take the pixels still free; one of which more than
    panoptic_overlap_threshold is taken already is left out; so is stuff smaller than
    panoptic_stuff_min_area pixels.
    """

    score_threshold: float
    nms_threshold: float = 0.5
    duplicate_iou: float = 1.0
    mask_threshold: float = 0.5
    max_instances: int = 100
    min_area: int = 0
    classes: frozenset[int] | None = None
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
