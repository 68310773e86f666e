# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Visualisation: annotated images, videos and Rerun recordings.

No result depends on this package.
"""
