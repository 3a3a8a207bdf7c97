"""The shift between the models and a band: a grid search, the offsets of bright sources, a recommendation.

In: a band's image and weights, models.
Out: the shift in arcsec with its error, and what astrometry.json says.
"""
