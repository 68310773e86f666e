# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Objects in metres: lift masks and depth to points, centroids and oriented boxes, and transform them.

TF itself and messages belong to ros/.
"""
