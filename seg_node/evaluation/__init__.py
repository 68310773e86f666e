# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""COCO average precision and panoptic quality against ground truth, which is checked first.

Running a model over the images belongs to commands/.
"""
