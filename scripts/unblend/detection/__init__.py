"""Detection of sources: stack, S/N image, segmentation, catalogue, and edits of the segmentation by the user.

In: detection images with their masks and weight maps, regions.
Out: the stack and its error, the segmentation map, a catalogue of sources.
"""
