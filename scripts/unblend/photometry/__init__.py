"""Fluxes of a band: one linear fit of all templates; errors from correlated noise, shapes and Monte Carlo.

In: the image and weights of a band, and the templates of all sources.
Out: fluxes, errors, flags, the residual, and the columns of the catalogue.
"""
