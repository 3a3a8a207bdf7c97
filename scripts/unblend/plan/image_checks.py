"""Images that two bands share, as after a copied section of config.yaml: only a warning, as it may be meant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.errors import UnblendError
from ..io.files import is_url
from ..io.selections import split_extension
from .config import Band
from .inputs import FieldInputs


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
