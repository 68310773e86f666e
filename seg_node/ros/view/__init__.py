# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node view`: a running node's images and results in a Rerun viewer.

Drawing itself belongs to drawing/.
"""
