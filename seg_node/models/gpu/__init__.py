# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""CUDA helpers of the families: transfers through pinned memory, checks of Triton kernels.

CUDA graphs and precision belong to inference/.
"""
