# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters' values, and the options that the model, lifting and tracking take from them."""

from dataclasses import dataclass, replace

from seg_node.prompts import result_labels, with_prompts
from seg_node.ros.node.parameters import PARAMETERS
from seg_node.spatial.lift import LiftOptions
from seg_node.track import TrackOptions
from seg_node.types import LabelSet, MaskEncoding, Roi, SegmentOptions


@dataclass(frozen=True)
class Options:
    """A snapshot of all parameters, a field for each row of parameters.py; the worker takes one per frame."""

    model_family: str
    model_weights: str
    model_config: str
    model_labels: str
    prompt_model_weights: str
    device: str
    precision: str
    engine: str
    image_transport: str
    cameras: tuple[str, ...]
    max_batch: int
    depth_enabled: bool
    depth_transport: str
    depth_unit: float
    depth_slop: float
    depth_erosion: int
    depth_min_points: int
    depth_max_points: int
    target_frame: str
    autostart: bool
    always_on: bool
    rest_after: float
    score_threshold: float
    nms_threshold: float
    duplicate_iou: float
    mask_threshold: float
    max_instances: int
    min_area: int
    classes: tuple[str, ...]
    prompts: tuple[str, ...]
    mask_encoding: MaskEncoding
    class_map_size: tuple[int, ...]
    max_pixels: int
    bond_enabled: bool
    memory_limit: int
    stall_timeout: float
    max_rate: float
    roi: tuple[int, ...]
    track_enabled: bool
    track_min_iou: float
    track_class_penalty: float
    track_max_age: float
    panoptic_score_threshold: float
    panoptic_overlap_threshold: float
    panoptic_stuff_min_area: int
    debug_opacity: float
    debug_boxes: bool
    debug_captions: bool
    debug_stuff: bool
    debug_jpeg_quality: int

    def segment_options(self, labels: LabelSet, own: SegmentOptions) -> SegmentOptions:
        """Return the model's share of the options; `own` are the checkpoint's, for those left at -1.

        Raises ValueError when a class is unknown to the model, or prompts do not fit it.
        """
        own = with_prompts(own, self.given_prompts())
        labels = result_labels(own, labels)
        names = [name for name in self.classes if name]
        numbers = {row.field: getattr(self, row.field) for row in PARAMETERS if row.own}
        return replace(
            own,
            min_area=self.min_area,
            classes=labels.ids(names) if names else None,
            **{name: number for name, number in numbers.items() if number >= 0},
        )

    def given_prompts(self) -> tuple[str, ...]:
        """Return the prompts; [""] is the parameter's way to have none."""
        return () if self.prompts == ("",) else self.prompts

    def lift_options(self, keep_points: bool) -> LiftOptions:
        return LiftOptions(self.depth_erosion, self.depth_min_points, self.depth_max_points, keep_points)

    def track_options(self) -> TrackOptions:
        return TrackOptions(self.track_min_iou, self.track_class_penalty, self.track_max_age)

    def region(self) -> Roi:
        return Roi(*self.roi)


DEFAULTS = Options(**{row.field: row.default for row in PARAMETERS})  # type: ignore[arg-type]
