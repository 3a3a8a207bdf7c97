"""Every way in which FITS stores the numbers of pixels, written byte by byte as the standard says."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits
from image_headers import CD, tan_header
from unblend.core.errors import InputError
from unblend.core.types import Box
from unblend.io.images import read_array
from unblend.io.mosaics import open_mosaic

STORED = [
    (kind, np.array([[np.iinfo(kind).min, 0, 1], [7, np.iinfo(kind).max, 3]], dtype=kind))
    for kind in ("u1", "i2", "i4", "i8")
]


def write_stored(path, stored, **cards):
    """Write integers and cards as they are: Astropy would change both."""
    wcs = {**{key: repr(value) for key, value in tan_header(**CD).items()}, **cards}
    bits = {"SIMPLE": "T", "BITPIX": 8 * stored.itemsize, "NAXIS": 2, "NAXIS1": stored.shape[1]}
    lines = [f"{key:8}= {value:>20}" for key, value in {**bits, "NAXIS2": stored.shape[0], **wcs}.items()]
    blocks = "".join(line.ljust(80) for line in [*lines, "END"]).encode(), stored.astype(f">{stored.dtype.str[1:]}")
    path.write_bytes(b"".join(b.ljust(-(-len(b) // 2880) * 2880, b" ") for b in (blocks[0], blocks[1].tobytes())))
    return str(path)


@pytest.mark.parametrize(("kind", "stored"), STORED, ids=[kind for kind, _ in STORED])
@pytest.mark.parametrize("blank", [None, 7, "least"])
@pytest.mark.parametrize(
    "cards",
    [{}, {"BZERO": -128}, {"BZERO": 32768}, {"BZERO": 2**31}, {"BZERO": 2**63}, {"BSCALE": 0.1, "BZERO": 10.3}],
    ids=str,
)
def test_every_way_to_store_integers(tmp_path, kind, stored, blank, cards):
    blank = int(stored.min()) if blank == "least" else blank
    path = write_stored(tmp_path / "i.fits", stored, **cards, **({} if blank is None else {"BLANK": blank}))
    # Python's integers are exact, for the unsigned ones of 64 bits as well
    scale, zero = cards.get("BSCALE", 1), cards.get("BZERO", 0)
    expected = np.array([[np.nan if v == blank else float(v * scale + zero) for v in row] for row in stored.tolist()])
    np.testing.assert_allclose(read_array(path), expected, rtol=1e-15)
    with open_mosaic(path) as mosaic:
        np.testing.assert_allclose(mosaic.read(Box(0, 0, 2, 3)), expected, rtol=1e-15)


@pytest.mark.parametrize("card", ["BSCALE", "BLANK"])
def test_a_scale_that_is_no_number(tmp_path, card):
    path = write_stored(tmp_path / "i.fits", STORED[1][1], **{card: "'abc'"})
    with pytest.raises(InputError, match=f"i.fits: its header has {card} = 'abc'; expected a number"):
        read_array(path)


def test_scaled_floats_are_read_in_double_precision_and_blank_cards_are_ignored(tmp_path):
    stored = np.array([[0.001, 2.5], [3.0, -1.0]], dtype=">f4")
    header = fits.PrimaryHDU(stored).header
    header["BSCALE"], header["BZERO"] = 0.5, 2147483648.0
    header.add_blank()
    header["COMMENT"] = "a line"
    data = stored.tobytes()
    (tmp_path / "f.fits").write_bytes(header.tostring().encode() + data + bytes(-len(data) % 2880))
    # In single precision 2147483648 has steps of 256.
    np.testing.assert_array_equal(read_array(str(tmp_path / "f.fits")), 0.5 * stored.astype(float) + 2147483648.0)
    header.remove("BSCALE"), header.remove("BZERO")
    (tmp_path / "f.fits").write_bytes(header.tostring().encode() + data + bytes(-len(data) % 2880))
    np.testing.assert_array_equal(read_array(str(tmp_path / "f.fits")), stored.astype(float))


def test_a_header_of_thousands_of_cards_does_not_matter_to_the_pixels(tmp_path):
    header = fits.Header([(f"K{number:07d}"[:8], number) for number in range(500)])
    values = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    for name, scale in (("plain.fits", None), ("scaled.fits", 2.0), ("packed.fits.gz", 2.0)):
        hdu = fits.ImageHDU(values, header)
        fits.HDUList([fits.PrimaryHDU(header=header), hdu]).writeto(tmp_path / name)
        if scale and name.endswith(".fits"):
            content = (tmp_path / name).read_bytes()
            at = content.index(b"K0000007", content.index(b"XTENSION"))
            card = b"BSCALE  =                  2.0".ljust(80)
            (tmp_path / name).write_bytes(content[:at] + card + content[at + 80 :])
        found = read_array(f"{tmp_path / name}[1]")
        np.testing.assert_array_equal(found, values * (2.0 if name == "scaled.fits" else 1.0))
