# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node train`: fine-tune the embedded model's network on COCO data sets.

The embedded model's own data is made in embedded_model/ at the project's root.
"""
