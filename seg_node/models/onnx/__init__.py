# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""ONNX files: checked as data before anything opens them, then run by ONNX Runtime.

Nothing here knows which network a file holds.
"""
