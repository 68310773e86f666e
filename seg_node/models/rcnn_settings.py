"""The numbers of a Mask R-CNN that its weights do not tell."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RCNNSettings:
    """Numbers that are not in the weights; the defaults are torchvision's.

    anchor_sizes: pixels, of each pyramid level. anchor_ratios: height/width.
    anchors_rounded: anchor corners to whole pixels.
    proposals_per_level, proposals: best kept before and after suppression.
    proposal_nms_threshold, proposal_min_side: overlap (IoU) suppressed, and pixels.
    roi_sampling_ratio, roi_aligned: RoIAlign's points per bin and side (0: as many as pixels), and
    whether it places pixel centres half a pixel off (the corrected version).
    box_weights: by which the box head's deltas are divided. box_min_side: pixels.
    """

    anchor_sizes: tuple[tuple[float, ...], ...] = ((32,), (64,), (128,), (256,), (512,))
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    anchors_rounded: bool = True
    proposals_per_level: int = 1000
    proposals: int = 1000
    proposal_nms_threshold: float = 0.7
    proposal_min_side: float = 1e-3
    roi_sampling_ratio: int = 2
    roi_aligned: bool = False
    box_weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)
    box_min_side: float = 1e-2
