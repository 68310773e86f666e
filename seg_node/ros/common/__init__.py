# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Code that the node, play, view and demo share: QoS, signals, memory and command lines.

Code with a single user belongs there.
"""
