"""Find the sources: stack, S/N image, segmentation, catalogue, and the edits that a user draws.

In: detection images with their masks, regions.
Out: the stack and its error, the segmentation map, a catalogue of sources.
"""
