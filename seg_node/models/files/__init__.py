"""Checkpoints and configurations of other projects, read as data and never executed.

Interpreting their contents belongs to each family's folder.
"""
