# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""SOLO, Decoupled SOLO and SOLOv2, with the checkpoints of WXinlong/SOLO, mmdetection and AdelaiDet.

Nothing here is imported by another family.
"""
