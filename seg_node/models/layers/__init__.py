# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Backbones and layers shared by several families.

Heads and post-processing belong to the families.
"""
