# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Bilinear resizing as a matrix, so that a part of a map can be resized alone."""

import torch
import torch.nn.functional as F
from torch import Tensor


def interpolation_weights(cells: int, pixels: int) -> Tensor:
    """Compute F.interpolate's exact weight of each cell of a row in each pixel: float (pixels, cells)."""
    unit = torch.eye(cells)[None, None]
    weights = F.interpolate(unit, size=(cells, pixels), mode="bilinear", align_corners=False)
    return weights[0, 0].t().contiguous()
