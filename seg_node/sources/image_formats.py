"""The picture formats that are read from files, as Pillow names them.

`Image.open(path, formats=PICTURE_FORMATS)`: otherwise Pillow tries all that it knows, and for a PostScript
file of any name starts Ghostscript. Those that this Pillow lacks (AVIF before 11.3) are left out: naming one
is a KeyError.
"""

from PIL import Image

Image.init()
PICTURE_FORMATS = tuple(
    name
    for name in ("JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF", "JPEG2000", "AVIF", "TGA")
    if name in Image.OPEN
)
