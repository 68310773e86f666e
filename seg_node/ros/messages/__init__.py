# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Conversions between messages and seg_node's types.

No node, no topics: each function takes and returns plain values.
"""
