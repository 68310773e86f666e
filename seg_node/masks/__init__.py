"""Masks of objects: encoded for messages, cropped, compared and merged into a panoptic map.

numpy only: a network's raw masks belong to models/.
"""

from seg_node.masks.encoding import decode_crop, decode_mask

__all__ = ["decode_crop", "decode_mask"]
