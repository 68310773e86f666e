# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Run a model on a device: precision, CUDA graphs, batches and timing.

Nothing here knows a family or a file format.
"""
