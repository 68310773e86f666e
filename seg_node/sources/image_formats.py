# Copyright 2026 the seg_node authors
# SPDX-License-Identifier: Apache-2.0
"""The image formats that are read from files, by Pillow's names.

`Image.open(path, formats=PICTURE_FORMATS)`: by default Pillow tries all formats, and starts Ghostscript for
PostScript files of any name. Formats that this Pillow lacks (AVIF before 11.3) are omitted, because naming
one is a KeyError.
"""

from PIL import Image

Image.init()
PICTURE_FORMATS = tuple(
    name
    for name in ("JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF", "JPEG2000", "AVIF", "TGA")
    if name in Image.OPEN
)
