"""Lesions of images: masks, contours and the rows of their table."""
