"""Backbones and layers shared by several families.

Heads and post-processing belong to the families.
"""
