"""Pixels of one image before any source is known: masks, background, cutouts, the PSF, areas drawn on the sky.

In: arrays, a WCS, regions.
Out: masks, a background image, a centred PSF of unit sum, regions to load in DS9.
"""
