# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Limits for untrusted input: text, YAML and JSON, memory, cache sizes and names of output files.

Readers of images, bags and checkpoints live elsewhere and use these limits.
"""
