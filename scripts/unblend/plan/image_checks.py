"""Images that two bands share, and extensions that are no images of the sky: only a warning, as it may be meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ..core.errors import UnblendError
from ..io.files import is_url
from ..io.images import image_extensions
from ..io.selections import split_extension
from .config import Band
from .inputs import FieldInputs
from .unit_checks import unit_warnings

NO_IMAGE = re.compile(
    r"ERR(OR)?|RMS|SIGMA|NOISE|UNC(ERT)?|VAR(IANCE)?.*|STAT|WHT|WGT|WEIGHT|IVAR|INVVAR|DQ|MASK|FLAGS?|CTX|CON|COV(ERAGE)?|EXP(TIME|MAP|OSURE)?|PSF.*",
    re.I,
)
"""Usual names of extensions that are not images of the sky."""


def image_warnings(bands: Sequence[Band], inputs: FieldInputs) -> list[str]:
    """Return what may be wrong with images: zero points, images that are used twice, extensions that are no images."""
    units = unit_warnings(list(bands), inputs).values()
    return [*units, *same_images(bands, inputs), *images_of_no_sky(bands, inputs)]


def same_images(bands: Sequence[Band], inputs: FieldInputs) -> Iterator[str]:
    """Yield a sentence for every band whose pixels are those of a band before it: one file, or equal bytes.

    Parameters
    ----------
    bands : sequence of Band
        Bands with a mosaic or without a file are left out.
    inputs : FieldInputs
    """
    owners: dict[tuple[str, str | None], Band] = {}
    for band in bands:
        if band.image is None or is_url(band.image):
            continue
        path = inputs.path(band.image)
        try:
            digest = inputs.provenance.content(path)
        except (UnblendError, OSError):
            continue  # whoever reads the image says so
        if digest is None:
            continue
        other = owners.setdefault((digest, split_extension(path)[1]), band)
        if other is not band:
            yield (
                f"bands.{band.name}: {path} has the same pixels as the image of band {other.name} "
                f"({inputs.path(other.image or '')}), so that both bands measure one image; correct the name of one "
                "of them, unless this is meant."
            )


def images_of_no_sky(bands: Sequence[Band], inputs: FieldInputs) -> Iterator[str]:
    """Yield a sentence for every band whose image is an extension that is named, and by its EXTNAME is no image.

    Parameters
    ----------
    bands : sequence of Band
        Bands with a mosaic are left out, and images without an extension, which are refused (`checks`).
    inputs : FieldInputs
    """
    for band in bands:
        if band.image is None or is_url(band.image) or split_extension(inputs.path(band.image))[1] is None:
            continue
        path = inputs.path(band.image)
        try:
            number, names = image_extensions(path)
        except (UnblendError, OSError):
            continue  # whoever reads the image says so
        others = [name for name in names.values() if name and not NO_IMAGE.fullmatch(name)]
        if NO_IMAGE.fullmatch(names[number]) and others:
            named = " or ".join(f'"{split_extension(band.image)[0]}[{name}]"' for name in others)
            yield (
                f"bands.{band.name}.image: {path} is the extension {names[number]}, which by its name is not an image "
                f"of the sky: its fluxes are those of a map of errors, weights or flags; write {named}, unless this is "
                "meant."
            )
