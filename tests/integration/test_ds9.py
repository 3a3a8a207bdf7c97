"""The real DS9: what it saves is read the same in every coordinate system, and it loads what is written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import smallfield
from astropy.io import fits
from astropy.wcs import WCS
from ds9_program import MISSING, TITLE, Ds9
from open_ds9 import main as open_ds9
from unblend.core import coordinates
from unblend.core.types import Region
from unblend.images.masks import circles, region_mask
from unblend.io.images import read_wcs, write_image
from unblend.io.regions import read_regions, write_regions

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"needs DS9: apt install {' '.join(MISSING)}"),
]
SHAPE = (100, 120)
TOLERANCE_PIXELS = 0.02
"""4 mas: DS9 writes positions to 0.4 mas, sizes to 0.5 mas; its galactic system differs from Astropy's by 1.3 mas."""


@pytest.fixture(scope="module")
def ds9() -> Iterator[Ds9]:
    program = Ds9()
    try:
        program.open(["ds9"])
        yield program
    finally:
        program.stop()


def header(kind: str) -> dict[str, object]:
    """Return a header of 0.2 arcsec pixels turned by 33 degrees: of an ICRS cutout, or an FK5 mirror image."""
    cos, sin = np.cos(np.deg2rad(33.0)), np.sin(np.deg2rad(33.0))
    cd = 0.2 / 3600 * np.array([[-cos, sin], [sin, cos]]) @ np.diag([1.0, 1.0] if kind == "cutout" else [-1.0, 1.0])
    result = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 60.3, "CRPIX2": 48.7, "CRVAL1": 53.0873}
    result |= {"CRVAL2": -27.84, **{f"CD{i + 1}_{j + 1}": cd[i, j] for i in (0, 1) for j in (0, 1)}}
    if kind == "cutout":  # every second pixel of a large image
        return result | {"RADESYS": "ICRS", "LTM1_1": 0.5, "LTM2_2": 0.5, "LTV1": -100.0, "LTV2": -50.5}
    return result | {"RADESYS": "FK5", "EQUINOX": 2000.0}


@pytest.fixture(scope="module", params=["cutout", "mirrored"])
def image(request, tmp_path_factory, ds9) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "image.fits"
    noise = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    fits.writeto(path, noise, fits.Header(header(request.param)))
    ds9.tell("frame", "delete", "all")
    ds9.tell("frame", "new")
    ds9.tell("fits", path)
    return path


SHAPES = {
    "circle": 'circle({p[0]},{p[1]},2.03") # color=red width=2 text={{first; (a) # b}} tag={{t u}}',
    "excluded circle": '-circle({p[2]},{p[3]},1.15")',
    "ellipse": 'ellipse({p[4]},{p[5]},2.21",0.97",31.7) # text={{7}}',
    "box": 'box({p[6]},{p[7]},3.13",1.57",21.3) # text={{Größe "q"}}',
    "polygon": "polygon({p[8]},{p[9]},{p[10]},{p[11]},{p[12]},{p[13]}) # fill=1",
    "annulus": 'annulus({p[14]},{p[15]},0.86",1.94")',
    "rings of ellipses": 'ellipse({p[16]},{p[17]},1.03",0.57",2.07",1.13",40.1)',
    "rings of boxes": 'box({p[18]},{p[19]},1.03",0.57",3.07",1.93",40.1)',
    "panda": 'panda({p[20]},{p[21]},10.3,121.7,3,0.41",1.87",2)',
}
"""Positions are filled in: (x, y) of PLACES on the sky. Sizes are such that no pixel's centre lies on an edge."""
PLACES = [
    *((60, 50), (68, 50), (40.3, 45.1), (90, 52), (50, 80), (58.3, 75.7), (66.1, 90.4)),
    *((62.6, 18.1), (20.2, 80.3), (95.4, 80.2), (25.1, 20.7)),
]


def drawn(image: Path, system: str) -> str:
    """Return a region file of all SHAPES in a sky system."""
    y, x = (np.array(PLACES, dtype=float)[:, k] - 1.0 for k in (1, 0))
    sky = np.array(coordinates.pixel_to_sky(read_wcs(str(image)), y, x)).T.ravel()
    return f"{system}\n" + "\n".join(shape.format(p=[f"{v:.9f}" for v in sky]) for shape in SHAPES.values())


def masks_of(path: Path, wcs: WCS) -> list[np.ndarray]:
    """Return the mask of each region alone, excluded ones taken as included."""
    whole = [replace(region, include=True) for region in read_regions(path)]
    return [region_mask([region], wcs, SHAPE) for region in whole]


def rims_of(path: Path, wcs: WCS) -> list[np.ndarray]:
    """Return for each region (on the sky) the pixels whose centres lie within TOLERANCE_PIXELS of its edge."""
    moved = []
    for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        other = wcs.deepcopy()
        other.wcs.crpix = other.wcs.crpix + TOLERANCE_PIXELS * np.array(step)
        moved.append(masks_of(path, other))
    return [np.any(masks, axis=0) & ~np.all(masks, axis=0) for masks in zip(*moved, strict=True)]


@pytest.fixture(scope="module")
def loaded(ds9: Ds9, image: Path) -> Path:
    """The file of all shapes, loaded; DS9 takes its system for that of the image."""
    path = image.with_name("drawn.reg")
    path.write_text(drawn(image, "icrs" if "cutout" in str(image) else "fk5"), encoding="utf-8")
    ds9.tell("regions", "delete", "all")
    ds9.tell("regions", "load", path)
    return path


SYSTEMS = ["physical", "image", "fk5", "icrs", "galactic", "ecliptic", "fk4"]
LOOSE = {"ecliptic": 0.02, "fk4": 0.3}
"""Arcsec: where DS9 and Astropy have other constants; nobody draws in these."""
SAVED = [(s, f) for s in SYSTEMS for f in ("degrees", "sexagesimal") if f == "degrees" or SYSTEMS.index(s) > 1]


@pytest.mark.parametrize(("system", "form"), SAVED, ids=["-".join(pair) for pair in SAVED])
def test_what_ds9_saves_is_read_the_same_in_every_system(ds9, image, loaded, tmp_path, system, form):
    path = tmp_path / "saved.reg"
    ds9.tell("regions", "system", system)
    ds9.tell("regions", "skyformat", form)
    ds9.tell("regions", "save", path)
    before, after = read_regions(loaded), read_regions(path)
    assert [(r.kind, r.include, r.text) for r in after] == [(r.kind, r.include, r.text) for r in before]
    if system in LOOSE:
        same_places(after, before, read_wcs(str(image)), LOOSE[system])
        return
    wcs = read_wcs(str(image))
    for name, one, other, rim in zip(
        SHAPES, masks_of(loaded, wcs), masks_of(path, wcs), rims_of(loaded, wcs), strict=True
    ):
        if name == "panda" and "mirrored" in str(image) and system in ("image", "physical"):
            continue  # DS9 saves its complement: start and stop are not exchanged in a mirror
        assert one.sum() > 40 and rim.sum() <= 5, name
        assert not (one != other)[~rim].any(), f"{name}: {np.count_nonzero(one != other)} of {one.sum()} pixels differ"


def same_places(found: list[Region], expected: list[Region], wcs: WCS, tolerance_arcsec: float) -> None:
    """The centres of the regions must agree."""
    wanted = [replace(region, include=True) for region in expected]
    pairs = zip(circles([replace(region, include=True) for region in found], wcs), circles(wanted, wcs), strict=True)
    for (y, x, _), (y0, x0, _) in pairs:
        assert np.hypot(y - y0, x - x0) * coordinates.pixel_scale(wcs) < tolerance_arcsec


def test_several_regions_on_one_line(ds9, image, loaded, tmp_path):
    path = tmp_path / "saved.reg"
    ds9.tell("regions", "system", "icrs")
    ds9.tell("regions", "strip", "yes")
    ds9.tell("regions", "save", path)
    ds9.tell("regions", "strip", "no")
    assert path.read_text().count(";") > len(SHAPES) and path.read_text().count("\n") <= 1
    before, after = read_regions(loaded), read_regions(path)
    assert [(r.kind, r.include) for r in after] == [(r.kind, r.include) for r in before]
    same_places(after, before, read_wcs(str(image)), 0.004)


def test_windows_line_ends_and_the_header_of_version_7(ds9, image, loaded, tmp_path):
    path, windows = tmp_path / "saved.reg", tmp_path / "windows.reg"
    ds9.tell("regions", "system", "fk5")
    ds9.tell("regions", "save", path)
    lines = path.read_text().splitlines()
    windows.write_bytes("\r\n".join([lines[0], "# Filename: image.fits", *lines[1:], ""]).encode())
    plain = [replace(region, line=0) for region in read_regions(path)]
    assert [replace(region, line=0) for region in read_regions(windows)] == plain
    ds9.tell("regions", "delete", "all")
    ds9.tell("regions", "load", windows)  # DS9 itself reads such a file
    ds9.tell("regions", "save", path)
    assert [replace(region, line=0) for region in read_regions(path)] == plain


def test_what_is_written_is_loaded(ds9, image, tmp_path):
    """Number, place, size, angle and text of every kind of region that the products hold."""
    arcsec, wcs = (1.53, "arcsec"), read_wcs(str(image))
    place, far = (53.0873, -27.84), (53.0895, -27.8412)
    written = [
        Region("ellipse", "icrs", (place,), (arcsec, (0.71, "arcsec")), angle=30.0, text="7"),
        Region("circle", "image", ((40.0, 31.5),), ((4.31, "pixel"), (4.31, "pixel"))),
        Region("circle", "icrs", (far,), ((2.11, "arcsec"),) * 2, ((1.03, "arcsec"),) * 2, text="; # {odd} Größe"),
        Region("box", "icrs", (far,), ((3.0, "arcsec"), (2.0, "arcsec")), angle=-56.7, text="7: 7 9 12"),
        Region("polygon", "icrs", (place, (53.0878, -27.8398), far), include=False),
    ]
    mine, saved = tmp_path / "mine.reg", tmp_path / "saved.reg"
    write_regions(mine, written, color="cyan")
    ds9.tell("regions", "delete", "all")
    ds9.tell("regions", "load", mine)
    ds9.tell("regions", "system", "icrs")
    ds9.tell("regions", "skyformat", "degrees")
    ds9.tell("regions", "save", saved)
    found = read_regions(saved)
    assert [(r.kind, r.include, r.text) for r in found] == [
        (r.kind, r.include, r.text.translate(str.maketrans("{}", "()"))) for r in written
    ]
    same_places(found, written, wcs, 0.004)
    one, other = (np.array(masks_of(path, wcs)) for path in (mine, saved))
    assert (one != other).sum() <= 5  # of 500: angles and sizes are cut to their last digits
    assert "cyan" in saved.read_text()


def test_the_command_opens_a_band_with_its_regions_around_the_target(ds9, tmp_path, capsys):
    """Frames, regions, locks and centre of the window that `./unblend ds9 blurred` opens."""
    smallfield.write(tmp_path)
    results, band = tmp_path / "results", tmp_path / "results/bands/blurred"
    circle = [Region("circle", "icrs", ((150.0 + k * 1e-4, 2.0),), ((1.0, "arcsec"),) * 2, text=str(k)) for k in (1, 2)]
    for path in (results / "det_cat.reg", band / "mask.reg", band / "monte_carlo.reg"):
        write_regions(path, circle)
    segments, wcs = np.zeros(smallfield.SMALL.shape("sharp"), dtype=np.int32), smallfield.wcs_of("sharp")
    segments[20:30, 20:30] = 7
    write_image(results / "det_seg.fits", segments, wcs=wcs)
    write_image(band / "residual.fits", smallfield.draw("blurred", 5), wcs=smallfield.wcs_of("blurred"))

    open_ds9("blurred", "--print", "--directory", str(tmp_path), "--configfile", str(tmp_path / "config.yaml"))
    words = shlex.split(capsys.readouterr().out)
    assert words[1:4] == ["-title", "unblend-blurred", "-geometry"]
    ds9.open([words[0], *words[3:]], "unblend-band")
    ds9.wait(lambda: ds9.ask("lock", "crosshair") == "wcs", "DS9 does not come to the end of the command line")
    assert ds9.ask("frame", "all").split() == ["1", "2", "3"]
    names = []
    for frame, number in (("1", 6), ("2", 6), ("3", 2)):
        ds9.tell("frame", frame)
        names.append(Path(ds9.ask("file")).name)
        saved = tmp_path / f"{frame}.reg"
        ds9.tell("regions", "save", saved)
        assert len(read_regions(saved)) == number
        assert [float(angle) for angle in ds9.ask("pan", "wcs", "icrs", "degrees").split()] == pytest.approx(
            [smallfield.TARGET["ra"], smallfield.TARGET["dec"]],
            abs=2e-5,  # 0.07 arcsec: half a pixel
        )
    assert names == ["blurred.fits", "residual.fits", "det_seg.fits"]
    assert ds9.ask("lock", "frame") == "wcs" and ds9.ask("tile") == "yes"
    # the canvas nearly fills the screen of 1200 x 900, below the panel and the buttons
    assert int(ds9.ask("width")) > 1000 and int(ds9.ask("height")) > 450
    assert 'font="helvetica 14 bold roman"' in (tmp_path / "1.reg").read_text()
    ds9.tell("exit")
    ds9.title = TITLE
