"""PNG, TIFF, Netpbm and JPEG pictures."""
