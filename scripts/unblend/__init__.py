"""unblend: fluxes of blended galaxies, from images to a catalogue.

Pure functions on arrays and world coordinate systems. The library knows nothing of Snakemake,
and only `unblend.io` opens files.
"""

__version__ = "0.1.0"
