"""The fluxes of a band: one linear fit of all templates, errors with correlated noise, shapes and Monte Carlo.

In: a band's image and weights, templates.
Out: fluxes, errors, flags, the residual, the columns of the catalogue.
"""
