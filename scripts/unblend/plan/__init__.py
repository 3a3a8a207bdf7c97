"""What is to be done: the configuration, checks of the inputs, and what every job depends on.

In: config.yaml, the headers and digests of the inputs.
Out: a checked configuration, the settings of every job, batches of fit groups.
"""
