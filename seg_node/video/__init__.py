# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""Video topics: the packets of H.264, H.265, VP9 and AV1 streams as pictures.

Headers are read by code of ours, which limits sizes and detects lost packets; PyAV decodes. Files belong to
`sources`.
"""
