"""The pictures of fit groups: only those whose content has changed are drawn."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ..core.coordinates import pixel_scale
from ..core.errors import InputError
from ..field.fit_field import FitField
from ..field.stored_fits import PICTURE
from ..fits.result import GroupFit
from ..io.damage import is_whole
from ..io.files import atomic_path, digest_of
from ..io.images import read_array
from ..report import fit_descriptions
from ..report.fit_pictures import GroupPicture, picture_png
from ..report.fit_sheet import Card
from .job_log import record_work

log = logging.getLogger(__name__)

KEY = "key"
"""Name of the PNG text that contains the digest of what the picture shows."""


def draw_group(field: FitField, group: str, drawing: str) -> Card:
    """Draw the picture of a group unless it is up to date, and return its card for the sheet.

    Parameters
    ----------
    field : FitField
    group : str
        Its main source.
    drawing : str
        Digest of the code that draws.
    """
    fit, members = field.result(group, "second"), tuple(field.groups[group]["members"])
    failed, chi2 = fit_descriptions.badness(fit)
    flags = tuple((member.id, member.flags) for member in fit.members)
    card = Card(group, members, failed, chi2, flags, None)
    try:
        picture = _picture(field, group, members, fit)
    except InputError as error:
        log.warning("group %s has no picture: %s", group, error)
        return card
    path = field.folder / group / PICTURE
    key = digest_of([drawing, _content(picture)])
    found, size = picture_key(path)
    if found != key:
        began = time.process_time()
        with atomic_path(path) as temporary:
            temporary.write_bytes(picture_png(picture, {KEY: key}))
        record_work("draw", group, time.process_time() - began)
        size = picture_key(path)[1]
    return Card(group, members, failed, chi2, flags, size)


def picture_key(path: Path) -> tuple[str | None, tuple[int, int]]:
    """Return the key under which a picture was drawn, and its size; None if there is no picture, or if it was cut."""
    if not is_whole(path):
        return None, (0, 0)
    try:
        with Image.open(path) as image:
            return image.info.get(KEY), image.size
    except OSError:
        return None, (0, 0)


def _picture(field: FitField, group: str, members: tuple[int, ...], fit: GroupFit) -> GroupPicture:
    """Return the content of the picture of a group. The model is the difference between data and residual."""
    box = field.box(group)
    error, segments = field.error(box), field.segments(box)
    other = (segments != 0) & ~np.isin(segments, members)
    ignored = field.mask(box) | ~np.isfinite(error) | other
    usable = error[np.isfinite(error) & (error > 0)]
    residual = "imfit_bestfit_res.fits" if fit.exact_chi2 is None else "refined_res.fits"
    profiles = {member.id: member.sersic for member in fit.members}
    return GroupPicture(
        box=box,
        stack=field.stack(box),
        residual=read_array(str(field.folder / group / residual)),
        segments=segments,
        ignored=ignored,
        sigma=float(np.median(usable)) if usable.size else 1.0,
        members=members,
        profiles=tuple(profiles.get(i) for i in members),
        title=fit_descriptions.title(group, members, fit),
        rows=fit_descriptions.rows(members, fit, pixel_scale(field.wcs, field.shape)),
    )


def _content(picture: GroupPicture) -> str:
    """Return the digest of all that a picture shows."""
    arrays = (picture.stack, picture.residual, picture.segments, picture.ignored)
    pixels = [digest_of(np.ascontiguousarray(array).tobytes()) for array in arrays]
    words = [picture.title, picture.rows, repr(picture.profiles), picture.members, picture.sigma]
    return digest_of([pixels, words])
