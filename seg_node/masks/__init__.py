# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Masks of objects: encode them for messages, crop, compare and merge them into a panoptic map.

numpy only; the raw masks of a network belong to models/.
"""

from seg_node.masks.encoding import decode_crop, decode_mask

__all__ = ["decode_crop", "decode_mask"]
