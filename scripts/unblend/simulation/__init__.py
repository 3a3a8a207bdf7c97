"""Simulated fields with known true fluxes, drawn with GalSim, and their comparison with a measured catalogue.

In: a random seed and a description of the bands.
Out: images, PSFs and the table of true sources; the bias and the pulls of a catalogue.
"""
