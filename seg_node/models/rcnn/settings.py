"""The numbers and conventions of a Mask R-CNN that its weights do not tell."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RCNNSettings:
    """Numbers that are not in the weights; the defaults are torchvision's.

    background: which class is the background. "first": 0, and it has box deltas and a mask channel as the
    others; "last": it has neither, and the objects' classes count from 0.
    anchor_sizes: pixels, of each pyramid level. anchor_ratios: height/width.
    anchors_rounded: anchor corners to whole pixels.
    anchor_strides: pixels from one anchor to the next: "measured", the padded image's side by the map's,
    or "exact", 4, 8, … whatever the sizes. anchor_offset: of the first one, in strides.
    proposals_per_level, proposals: best kept before and after suppression.
    proposal_nms_threshold, proposal_min_side: overlap (IoU) suppressed, and pixels that a side has at least.
    proposal_nms_scores: what suppression sorts by.
    proposal_box_weights, box_weights: by which the deltas of proposals and of the box head are divided.
    roi_sampling_ratio, roi_aligned: RoIAlign's points per bin and side (0: as many as pixels), and
    whether it places pixel centres half a pixel off (the corrected version).
    roi_level_epsilon: keeps a box on the edge between two pyramid levels on the coarser one: added to the
    "level", or to the box's "side" in units of 224 pixels.
    box_min_side: pixels that a side has at least.
    boxes_clipped: boxes end at the image's edge, and those without pixels are left out.
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


# with what configurations change as in its published models
DETECTRON2_SETTINGS = RCNNSettings(
    background="last",
    anchors_rounded=False,
    anchor_strides="exact",
    proposal_nms_scores="logits",
    proposal_min_side=2.0**-126,  # the smallest normal float32: Detectron2 says > 0
    roi_sampling_ratio=0,
    roi_aligned=True,
    roi_level_epsilon="side",
    box_min_side=0.0,
    boxes_clipped=True,
    mask_paste="sample",
)
