"""Basic types and calculations that all parts use: boxes, PSFs, models, coordinates, units, statistics, flags, errors.

In: numbers and arrays.
Out: numbers, arrays and frozen dataclasses. Nothing here opens a file or depends on a stage of the workflow.
"""
