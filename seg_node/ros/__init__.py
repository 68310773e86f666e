# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that imports ROS: the node, messages, and the commands play, view and demo.

No tensor arithmetic.
"""
