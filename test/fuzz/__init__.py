# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Hostile inputs for every boundary of seg_node: `scripts/fuzz`, docs/reliability.md.

A target (a module of `targets`) makes inputs from a seed and passes them to one boundary. The driver runs
them in forked children with limits and collects the faults.
"""
