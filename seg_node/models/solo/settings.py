# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers of a SOLO that cannot be derived from its weights."""

from dataclasses import dataclass
from typing import Literal

from seg_node.preprocess.prepare import InputSpec
from seg_node.types import SegmentOptions

MaskNms = Literal["gaussian", "linear", "hard"]
LEVELS = 5  # of a pyramid from stride 4 to 64


@dataclass(frozen=True)
class SoloSettings:
    """Settings with the defaults of all published models.

    grids: cells along a side, per level. strides: input pixels per pixel, per level.
    score_threshold: pairs of cell and class with a higher score are candidates.
    update_threshold: instances are kept if their score after suppression reaches it.
    nms_candidates: number of best-scored candidates that enter suppression.
    nms, sigma: matrix NMS with one of two kernels, or greedy suppression by masks (then
    SegmentOptions.nms_threshold is its overlap).
    mask_stride: input pixels per pixel of the masks; None for AdelaiDet's rule, the input's height by the
    masks', rounded up.
    """

    grids: tuple[int, ...] = (40, 36, 24, 16, 12)
    strides: tuple[int, ...] = (8, 8, 16, 32, 32)
    score_threshold: float = 0.1
    update_threshold: float = 0.05
    nms_candidates: int = 500
    nms: MaskNms = "gaussian"
    sigma: float = 2.0
    mask_stride: int | None = 4


@dataclass(frozen=True)
class SoloConfig:
    """A configuration.

    stride_in_1x1: see `ResNetSpec`. class_names: empty if not set.
    depth, groups: of the ResNet. head: SOLO, DecoupledSOLO or SOLOv2. None if not set.
    """

    settings: SoloSettings
    input_spec: InputSpec
    options: SegmentOptions
    stride_in_1x1: bool = False
    class_names: tuple[str, ...] = ()
    depth: int | None = None
    groups: int | None = None
    head: str | None = None


# of all models published by WXinlong/SOLO and mmdetection, except the input size of the light ones
PUBLISHED = SoloConfig(
    SoloSettings(),
    InputSpec(
        channels="rgb",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        pixel_max=1,
        resize="opencv",
        min_size=800,
        max_size=1333,
    ),
    SegmentOptions(score_threshold=0.0),
)
