"""Conversion of a network's objects and masks to `Instances`; only mask crops are downloaded.

The families decide which objects are kept.
"""
