"""What the workflow knows of a band and of the detection image: inputs and products put together as nouns.

In: the folder of the results and the settings of a job.
Out: band data and fit groups ready to be measured; the folder of a fit in IMFIT's format.
"""
