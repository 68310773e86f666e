"""Mask probabilities on a small grid over each box → masks at image resolution, only where the box is."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seg_node.types import MaskCrop


def paste_masks(
    mask_probs: Tensor, boxes_xyxy: Tensor, image_size: tuple[int, int], threshold: float
) -> list[MaskCrop]:
    """The pixels of each object, cropped to the smallest rectangle that holds them.

    mask_probs: (N, M, M) float on the CPU. boxes_xyxy: (N, 4) float, pixels of the image,
    may reach beyond it.
    threshold: a pixel belongs to the object at or above it.
    An object without visible pixels gets a crop of (0, 0).
    Source: torchvision `models/detection/roi_heads.py: paste_masks_in_image`, bit for bit.
    """
    grid = mask_probs.shape[-1]
    padded = F.pad(mask_probs, (1, 1, 1, 1))[:, None, None]  # (N, 1, 1, M+2, M+2)
    corners = _enlarge(boxes_xyxy, (grid + 2) / grid).to(torch.int64).tolist()
    return [_paste(probs, box, image_size, threshold) for probs, box in zip(padded, corners, strict=True)]


def _enlarge(boxes: Tensor, factor: float) -> Tensor:
    half_width = (boxes[:, 2] - boxes[:, 0]) * 0.5
    half_height = (boxes[:, 3] - boxes[:, 1]) * 0.5
    x = (boxes[:, 2] + boxes[:, 0]) * 0.5
    y = (boxes[:, 3] + boxes[:, 1]) * 0.5
    half_width, half_height = half_width * factor, half_height * factor
    return torch.stack((x - half_width, y - half_height, x + half_width, y + half_height), dim=1)


def _paste(probs: Tensor, box: list[int], image_size: tuple[int, int], threshold: float) -> MaskCrop:
    """box: corners in whole pixels, the last column and row included."""
    x_min, y_min, x_max, y_max = box
    size = max(y_max - y_min + 1, 1), max(x_max - x_min + 1, 1)
    top, bottom = max(y_min, 0), min(y_max + 1, image_size[0])
    left, right = max(x_min, 0), min(x_max + 1, image_size[1])
    if top >= bottom or left >= right:
        return MaskCrop(0, 0, np.zeros((0, 0), np.bool_))
    scaled = F.interpolate(probs, size=size, mode="bilinear", align_corners=False)[0, 0]
    mask = (scaled[top - y_min : bottom - y_min, left - x_min : right - x_min] >= threshold).numpy()
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return MaskCrop(0, 0, np.zeros((0, 0), np.bool_))
    return MaskCrop(left + x, top + y, mask[y : y + height, x : x + width])
