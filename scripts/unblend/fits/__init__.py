"""Fit the sources of the stack with IMFIT, in groups and in two passes, with the overrides of a user.

In: the pixels of a fit group, the PSF, override texts.
Out: fitted parameters with their covariance and flags, IMFIT's configuration files as text, model images.
"""
