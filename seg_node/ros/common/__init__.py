# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""What the node, play, view and demo share: QoS, signals, memory and command lines.

What only one of them needs belongs to it.
"""
