# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Camera frames from image files, videos, bags and live cameras, each as (name, Frame).

No ROS: topics of a running system belong to ros/.
"""
