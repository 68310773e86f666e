"""Backbones and layers that several families share.

Heads and post-processing belong to the families.
"""
