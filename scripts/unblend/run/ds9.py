"""The command line of DS9 that shows a field: frames matched by WCS, regions loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

IN_ONE_ROW = 3
"""Most frames beside one another."""


@dataclass(frozen=True)
class Ds9Frame:
    """One frame: an image, the region files over it, and how it is shown.

    `labels` images (segments) are shown in one colour for each ID, others in an inverted grey between `limits` (image
    units), or without these between those of the first.
    """

    image: str
    regions: tuple[str, ...] = ()
    labels: bool = False
    limits: tuple[float, float] | None = None


def ds9_arguments(
    frames: Sequence[Ds9Frame], target: tuple[float, float], title: str, size: tuple[int, int]
) -> list[str]:
    """Return the command that starts DS9 with frames side by side, in two rows where there are more than three.

    Images without limits of their own have the zscale limits of the first, so that residuals are seen on the scale of
    the image.

    Parameters
    ----------
    frames : sequence of Ds9Frame
    target : (ra, dec)
        Degrees: the centre of the view.
    title : str
        Title of the window, by which the programs of XPA find it: without spaces and colons.
    size : (width, height)
        Of the window in pixels.
    """
    words = ["ds9", "-title", title, "-geometry", f"{size[0]}x{size[1]}"]
    for number, frame in enumerate(frames):
        words += ["-frame", "new"] if number else []
        words += [frame.image]
        if frame.labels:
            words += ["-cmap", "sls", "-scale", "linear", "-scale", "mode", "minmax"]
        else:
            words += ["-cmap", "grey", "-cmap", "invert", "yes", "-scale", "asinh"]
            limits = (
                ["mode", "zscale"] if frame.limits is None else ["limits", *(f"{each:.9g}" for each in frame.limits)]
            )
            words += ["-scale", *limits]
        for path in frame.regions:
            words += ["-regions", "load", path]
        if number + 1 < len(frames) and frames[number + 1].labels and frame.limits is None:
            words += ["-frame", "first", "-match", "scalelimits", "-frame", "last"]
    centre = [f"{angle:.7f}" for angle in target]
    words += ["-wcs", "icrs", "-wcs", "skyformat", "degrees"]
    words += ["-tile", "yes", "-tile", "mode", "column" if len(frames) <= IN_ONE_ROW else "grid"]
    words += ["-frame", "first", "-zoom", "to", "fit", "-pan", "to", *centre, "wcs", "icrs", "-match", "frame", "wcs"]
    return [*words, "-lock", "frame", "wcs", "-lock", "crosshair", "wcs"]
