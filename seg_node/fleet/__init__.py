# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node label`: segment whole fleets' recordings on a Ray cluster, resumable after any failure.

A plan cuts the inputs into slices; each slice becomes one Parquet file, which is written under a temporary
name and renamed when it is whole. What is left to do is what has no file. Exports read the files alone.
No ROS here.
"""
