"""Segmentation networks: one folder per family, and `load_model`, which recognises a file's family.

Families do not know each other; what they share lies in files/, layers/ and assemble/.
"""
