# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Whole masks on a GPU → the mask crops of a segmentation; only their pixels are downloaded."""

from collections.abc import Sequence

import torch
from torch import Tensor

from seg_node.types import MaskCrop

_CHUNK_PIXELS = 1 << 22  # indexed at a time: 72 bytes each


def download_crops(masks: Tensor, *fields: Tensor) -> tuple[list[MaskCrop], list[Tensor]]:
    """Crop each object's mask to its smallest bounding rectangle; return crops and fields on the host.

    masks: bool (N, H, W) on any device; an empty mask gets a crop of (0, 0).
    fields: other data of the objects, (N,) or (N, K) each, float32 or integers below 2**53.
    There are two downloads: rectangles and fields, then all pixels at once.
    """
    columns, rows = _bounds(masks.any(dim=1)), _bounds(masks.any(dim=2))
    corners = torch.cat((columns, rows), dim=1)
    corners_on_host, *fields_on_host = _download((corners, *fields))
    rectangles = corners_on_host.tolist()
    sizes = [(bottom - top, right - left) for left, right, top, bottom in rectangles]
    pixels = _cut(masks, corners, sum(height * width for height, width in sizes)).cpu().numpy()
    crops, start = [], 0
    for (left, _, top, _), (height, width) in zip(rectangles, sizes, strict=True):
        end = start + height * width
        # a copy, so that one object does not keep all pixels in memory
        crops.append(MaskCrop(left, top, pixels[start:end].reshape(height, width).copy()))
        start = end
    return crops, fields_on_host


def _download(fields: Sequence[Tensor]) -> list[Tensor]:
    """Download the fields, (N,) or (N, K) each, by a single copy as float64, which holds all values."""
    columns = [field[:, None] if field.ndim == 1 else field for field in fields]
    packed = torch.cat([part.double() for part in columns], dim=1).cpu()
    parts = packed.split([part.shape[1] for part in columns], dim=1)
    return [part.to(field.dtype).reshape(field.shape) for part, field in zip(parts, fields, strict=True)]


def _bounds(used: Tensor) -> Tensor:
    """Return the first true index and the end (last + 1): bool (N, L) → int64 (N, 2), zeros if none."""
    numbers = used.to(torch.uint8)
    end = used.shape[1] - numbers.flip(1).argmax(dim=1)
    return torch.stack((numbers.argmax(dim=1), end), dim=1) * used.any(dim=1)[:, None]


def _cut(masks: Tensor, corners: Tensor, total: int) -> Tensor:
    """Gather the pixels inside the corners (N, 4: left, right, top, bottom) of each object: bool (total,)."""
    left, right, top, bottom = corners.t()
    widths, ends = right - left, ((right - left) * (bottom - top)).cumsum(0)
    starts = ends - widths * (bottom - top)
    pixels = masks.new_empty(total)
    for first in range(0, total, _CHUNK_PIXELS):
        at = torch.arange(first, min(first + _CHUNK_PIXELS, total), device=masks.device)
        owner = torch.searchsorted(ends, at, right=True)
        place, width = at - starts[owner], widths[owner]
        pixels[first : first + _CHUNK_PIXELS] = masks[
            owner, top[owner] + place // width, left[owner] + place % width
        ]
    return pixels
