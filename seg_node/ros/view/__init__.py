"""`seg_node view`: a running node's images and results in a Rerun viewer.

What is drawn belongs to drawing/.
"""
