"""Region proposals (Ren et al. 2015): where on the pyramid an object may be, whatever its class.

Source of the order of operations: torchvision `models/detection/rpn.py`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from seg_node.models.backbones import conv_norm
from seg_node.models.boxes import anchors_at, cell_anchors, decode_boxes
from seg_node.models.rcnn_settings import RCNNSettings
from seg_node.prepare import ModelInput


class RegionProposals(nn.Module):
    """Pyramid → up to `proposals` boxes in each image that may hold an object."""

    def __init__(self, channels: int, num_convs: int, settings: RCNNSettings) -> None:
        super().__init__()
        num_anchors = len(settings.anchor_sizes[0]) * len(settings.anchor_ratios)
        self.conv = nn.Sequential(*(conv_norm(channels, channels, 3, None) for _ in range(num_convs)))
        self.cls_logits = nn.Conv2d(channels, num_anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, num_anchors * 4, 1)
        self.settings = settings
        for level, sizes in enumerate(settings.anchor_sizes):
            cells = cell_anchors(sizes, settings.anchor_ratios, settings.anchors_rounded)
            self.register_buffer(f"cells{level}", cells, persistent=False)

    def head(self, features: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Objectness logits (N, A, h, w) and deltas (N, 4A, h, w) of each level."""
        hidden = [self.conv(feature) for feature in features]
        return [self.cls_logits(x) for x in hidden], [self.bbox_pred(x) for x in hidden]

    def forward(self, features: Sequence[Tensor], batch: ModelInput) -> list[Tensor]:
        height, width = batch.pixels.shape[-2:]
        boxes, logits, levels = [], [], []
        for level, (level_logits, deltas) in enumerate(zip(*self.head(features), strict=True)):
            rows, columns = level_logits.shape[-2:]
            flat = level_logits.permute(0, 2, 3, 1).flatten(1)  # (N, h·w·A)
            deltas = deltas.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3)  # (N, h·w·A, 4)
            best, indices = flat.topk(min(self.settings.proposals_per_level, flat.shape[1]), dim=1)
            cells = self.get_buffer(f"cells{level}")
            stride = (height // rows, width // columns)
            boxes.append(
                torch.stack(
                    [
                        decode_boxes(d[i], anchors_at(i, cells, columns, stride), (1, 1, 1, 1))
                        for d, i in zip(deltas, indices, strict=True)
                    ]
                )
            )
            logits.append(best)
            levels.append(torch.full_like(indices[0], level))
        candidates = zip(torch.cat(boxes, 1), torch.cat(logits, 1).sigmoid(), batch.sizes, strict=True)
        return [self._suppress(b, s, torch.cat(levels), size) for b, s, size in candidates]

    def _suppress(self, boxes: Tensor, scores: Tensor, levels: Tensor, size: tuple[int, int]) -> Tensor:
        boxes = clip_boxes_to_image(boxes, size)
        large = remove_small_boxes(boxes, self.settings.proposal_min_side)
        boxes, scores, levels = boxes[large], scores[large], levels[large]
        kept = batched_nms(boxes, scores, levels, self.settings.proposal_nms_threshold)
        return boxes[kept[: self.settings.proposals]]
