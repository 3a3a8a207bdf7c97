"""The astrometric shift of a band relative to the models: grid search, offsets of bright sources, recommendation.

In: the image and weights of a band, and the models of all sources.
Out: the shift in arcsec with its error, and the content of astrometry.json.
"""
