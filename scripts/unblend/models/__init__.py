"""Un-convolved models of sources and what a band sees of them: Sersic profiles, rendering, templates, subtraction.

In: parameters of a profile or a model image, a PSF, a WCS.
Out: models on fine pixels, templates of unit flux on a band's pixels.
"""
