# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node play`: images, videos and bags published as a camera.

Reading files belongs to sources/.
"""
