"""The kinds of picture files that are read: Pillow is to try no others, some of which start programs."""

PICTURE_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "GIF", "TGA", "JPEG2000", "AVIF")
