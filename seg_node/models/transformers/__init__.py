"""Universal segmentation networks of the Hugging Face transformers library, from local folders.

The library builds the network; checks, input and results are ours.
"""
