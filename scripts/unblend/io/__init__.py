"""File formats: FITS images, tables, models and PSFs, DS9 regions, mosaics, templates, SED catalogues, JSON.

In: paths.
Out: arrays and nouns with 0-based (y, x) positions; files are written whole or not at all. No science.
"""
