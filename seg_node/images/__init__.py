# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Decoders for camera messages and image files in memory: uint8 pixels, and depth in metres.

Headers are checked before anything is decoded. No files on disk, no ROS, no torch.
"""
