"""Segmentation networks: a folder for each family, and `load_model`, which finds out what a file is.

Families do not know each other; what they share lies in files/, layers/ and assemble/.
"""
