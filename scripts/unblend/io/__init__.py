"""File formats: FITS images, tables, models and PSFs, DS9 regions, mosaics, templates, SED catalogues, JSON.

In: paths.
Out: arrays and the types of core, with 0-based (y, x) positions; files that are written complete or not at all.
"""
