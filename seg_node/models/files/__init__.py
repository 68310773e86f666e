# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and configurations of other projects, read as data and never executed.

Interpreting their contents belongs to each family's folder.
"""
