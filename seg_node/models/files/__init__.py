"""Checkpoints and configurations of other projects, read as data and never executed.

What their contents mean to one network belongs to that family's folder.
"""
