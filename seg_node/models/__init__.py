# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation networks: one folder per family, and `load_model`, which recognises a file's family.

Families do not know each other; what they share lies in files/, layers/ and assemble/.
"""
