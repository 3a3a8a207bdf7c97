"""Model images of sources, and their templates in a band: Sersic profiles, rendering, convolution, subtraction.

In: parameters of a profile or a model image, a PSF, a WCS.
Out: models on fine pixels, templates of unit flux on the pixels of a band.
"""
