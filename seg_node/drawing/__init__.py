"""Visualisation: annotated images, videos and Rerun recordings.

No result depends on this package.
"""
