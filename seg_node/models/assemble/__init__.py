# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of a network's objects and masks to `Instances`; only mask crops are downloaded.

The families decide which objects are kept.
"""
