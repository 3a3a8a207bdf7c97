"""What every room knows: boxes, PSFs, models, templates, world coordinates, units, statistics, flags, errors.

In: numbers and arrays.
Out: the same, named. Nothing here opens a file or knows a stage of the workflow.
"""
