"""Preparation of one image: masks, background, cutouts, the PSF, and DS9 regions of pixels.

In: arrays, a WCS, regions.
Out: masks, a background image, a centred PSF of unit sum, regions to load in DS9.
"""
