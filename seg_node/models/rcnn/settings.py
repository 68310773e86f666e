# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers and conventions of a Mask R-CNN that cannot be derived from its weights."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RCNNSettings:
    """Settings with torchvision's defaults.

    background: which class is the background. "first": class 0, with box deltas and a mask channel; "last":
    it has neither, and the objects' classes start at 0.
    anchor_sizes: pixels, of each pyramid level. anchor_ratios: height/width.
    anchors_rounded: anchor corners are rounded to whole pixels.
    anchor_strides: pixels from one anchor to the next: "measured", the padded image's side divided by the
    map's, or "exact", 4, 8, … for any size. anchor_offset: of the first anchor, in strides.
    proposals_per_level, proposals: number kept before and after suppression.
    proposal_nms_threshold, proposal_min_side: overlap (IoU) above which boxes are suppressed, and the
    shortest side in pixels.
    proposal_nms_scores: sort key of suppression.
    proposal_box_weights, box_weights: divisors of the deltas of proposals and of the box head.
    roi_sampling_ratio, roi_aligned: RoIAlign's points per bin and side (0: as many as pixels), and
    whether it shifts by half a pixel (the corrected version).
    roi_level_epsilon: keeps a box on the edge between two pyramid levels on the coarser one: added to the
    "level", or to the box's "side" in units of 224 pixels.
    box_min_side: shortest side in pixels.
    boxes_clipped: boxes are clipped to the image, and those without pixels are dropped.
    mask_paste: masks at image resolution by resizing to whole pixels or by sampling at pixel centres.
    """

    background: Literal["first", "last"] = "first"
    anchor_sizes: tuple[tuple[float, ...], ...] = ((32,), (64,), (128,), (256,), (512,))
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    anchors_rounded: bool = True
    anchor_strides: Literal["measured", "exact"] = "measured"
    anchor_offset: float = 0.0
    proposals_per_level: int = 1000
    proposals: int = 1000
    proposal_nms_threshold: float = 0.7
    proposal_nms_scores: Literal["probabilities", "logits"] = "probabilities"
    proposal_min_side: float = 1e-3
    proposal_box_weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    roi_sampling_ratio: int = 2
    roi_aligned: bool = False
    roi_level_epsilon: Literal["level", "side"] = "level"
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    box_min_side: float = 1e-2
    boxes_clipped: bool = False
    mask_paste: Literal["resize", "sample"] = "resize"


# the settings of its published models
DETECTRON2_SETTINGS = RCNNSettings(
    background="last",
    anchors_rounded=False,
    anchor_strides="exact",
    proposal_nms_scores="logits",
    proposal_min_side=2.0**-126,  # smallest normal float32: Detectron2 compares with > 0
    roi_sampling_ratio=0,
    roi_aligned=True,
    roi_level_epsilon="side",
    box_min_side=0.0,
    boxes_clipped=True,
    mask_paste="sample",
)
