# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""`seg_node demo`: node, camera stream and recorder in one command, with figures at the end.

It uses the node through its topics only, as any other process would.
"""
