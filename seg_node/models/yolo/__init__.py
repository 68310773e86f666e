# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO segmentation networks (YOLOv8, YOLO11, YOLO26) as the ONNX files that Ultralytics exports.

Written from the files' contract: metadata, inputs and outputs. Nothing here is imported by another family.
"""
