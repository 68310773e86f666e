# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLACT and YOLACT++, with the checkpoints of dbolya/yolact.

Nothing here is imported by another family.
"""
