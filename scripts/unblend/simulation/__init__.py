"""Fields whose truth is known: drawn with GalSim, and compared with a measured catalogue.

In: a seed and a description of the bands.
Out: images, PSFs and the table of true sources; bias and pulls of a catalogue.
"""
