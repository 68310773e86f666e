# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Mask R-CNN and Panoptic FPN, with the checkpoints of torchvision and Detectron2.

Nothing here is imported by another family.
"""
