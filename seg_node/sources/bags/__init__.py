# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Read camera frames and their calibration, depth and TF from ROS bags, without ROS.

The intact messages of damaged bags are read.
"""
