from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from http_server import serving
from unblend.core.coordinates import pixel_to_physical, pixel_to_sky
from unblend.core.errors import InputError
from unblend.core.types import Box
from unblend.images.cutouts import cutout_box
from unblend.io import http_files
from unblend.io.mosaics import open_mosaic

SIDE = 1500
TARGET = {"ra": 53.0, "dec": -27.8}


def mosaic_header():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [53.01, -27.79]
    wcs.wcs.cd, wcs.wcs.crpix = np.diag([-0.1, 0.1]) / 3600.0, [751.0, 751.0]
    return wcs.to_header()


@pytest.fixture(scope="module")
def mosaic_file(tmp_path_factory):
    """A mosaic of 9 MB whose pixel values are their positions."""
    path = tmp_path_factory.mktemp("mosaic") / "mosaic.fits"
    data = (np.arange(SIDE)[:, None] * 10000 + np.arange(SIDE)).astype(np.int32)
    sci = fits.ImageHDU(data, mosaic_header(), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), sci]).writeto(path)
    return path


class RangeHandler(BaseHTTPRequestHandler):
    """Serves one file, complete or by byte range, and counts the bytes sent."""

    content = b""
    sent = 0

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        if self.path != "/mosaic.fits":
            self.send_error(404)
            return
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, stop = 0, len(self.content)
        if asked:
            start, stop = int(asked[1]), min(int(asked[2] or stop) + 1, stop)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(self.content)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if with_body:
            type(self).sent += stop - start
            self.wfile.write(self.content[start:stop])

    def log_message(self, *_):
        """Do not log requests."""


@pytest.fixture
def server(mosaic_file):
    handler = type("Handler", (RangeHandler,), {"content": mosaic_file.read_bytes(), "sent": 0})
    with serving(handler) as address:
        yield address, handler


def check_cutout(name):
    with open_mosaic(name) as mosaic:
        assert mosaic.shape == (SIDE, SIDE)
        box = cutout_box(mosaic.wcs, mosaic.shape, TARGET, 6.0)
        pixels, wcs = mosaic.read(box), mosaic.cut_wcs(box)
        physical = pixel_to_physical(wcs, np.array([0.0]), np.array([0.0]))
        assert physical == (pytest.approx([box.y0]), pytest.approx([box.x0]))
    assert box.shape == (61, 61) and pixels.shape == (61, 61) and pixels.dtype == np.float64
    assert pixels[0, 0] == box.y0 * 10000 + box.x0 and pixels[-1, -1] == (box.y1 - 1) * 10000 + box.x1 - 1
    # the target lies in the middle pixel of the cutout, by the cutout's own world coordinates
    x, y = wcs.all_world2pix(TARGET["ra"], TARGET["dec"], 0)
    assert abs(x - 30) <= 0.5 and abs(y - 30) <= 0.5
    assert wcs.pixel_shape == (61, 61)


def test_from_a_file(mosaic_file):
    check_cutout(str(mosaic_file))
    check_cutout(f"{mosaic_file}[SCI]")
    check_cutout(f"{mosaic_file}[1]")


def test_from_a_url_only_what_is_needed_is_fetched(server):
    address, handler = server
    check_cutout(f"{address}/mosaic.fits")
    # the cutout's rows hold 61 × 6 kB, the headers less; read in blocks of 1 MB of a file of 9 MB
    assert 0 < handler.sent < 0.4 * len(handler.content)


def test_a_lost_connection(server, monkeypatch):
    monkeypatch.setattr(http_files, "WAITS_S", (0.01, 0.01))
    address, handler = server
    with open_mosaic(f"{address}/mosaic.fits") as mosaic:
        handler.content = handler.content[:2_000_000]
        with pytest.raises(
            InputError, match=r"mosaic.fits cannot be read: .*(shorter than before|connection was lost)"
        ):
            mosaic.read(Box(1000, 1000, 1400, 1400))


def test_the_wcs_of_a_cutout_agrees_with_that_of_the_mosaic(mosaic_file):
    box = Box(100, 200, 150, 280)
    with open_mosaic(str(mosaic_file)) as mosaic:
        cut, whole = mosaic.cut_wcs(box), mosaic.wcs
    np.testing.assert_allclose(pixel_to_sky(cut, [3.0], [7.0]), pixel_to_sky(whole, [103.0], [207.0]), rtol=1e-14)


def test_a_url_that_is_wrong(server):
    with (
        pytest.raises(InputError, match=r"/nothing.fits cannot be read: the server says 404 Not Found") as caught,
        open_mosaic(f"{server[0]}/nothing.fits"),
    ):
        pass
    assert "\n" not in str(caught.value)


def test_a_file_that_is_wrong(tmp_path, mosaic_file):
    with (
        pytest.raises(InputError, match=r"gone.fits cannot be opened: FileNotFoundError"),
        open_mosaic(str(tmp_path / "gone.fits")),
    ):
        pass
    (tmp_path / "text.fits").write_text("words\n" * 1000)
    with (
        pytest.raises(InputError, match=r"text.fits cannot be opened: it does not begin as a FITS file does"),
        open_mosaic(str(tmp_path / "text.fits")),
    ):
        pass
    with (
        pytest.raises(InputError, match=r"no extension 'WHT'. It has \[PRIMARY\], \[SCI\]: name one"),
        open_mosaic(f"{mosaic_file}[WHT]"),
    ):
        pass
    with pytest.raises(InputError, match=r"no extension '5'"), open_mosaic(f"{mosaic_file}[5]"):
        pass


def test_a_mosaic_without_image_or_world_coordinates(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(3))], name="CAT")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "table.fits")
    with (
        pytest.raises(InputError, match=r"table.fits has no two-dimensional image"),
        open_mosaic(str(tmp_path / "table.fits")),
    ):
        pass
    with (
        pytest.raises(InputError, match=r"\[CAT\] is a table; expected an image"),
        open_mosaic(f"{tmp_path}/table.fits[CAT]"),
    ):
        pass
    fits.PrimaryHDU(np.zeros((5, 5))).writeto(tmp_path / "blind.fits")
    with (
        pytest.raises(InputError, match=r"blind.fits has no celestial WCS"),
        open_mosaic(str(tmp_path / "blind.fits")),
    ):
        pass


def test_scaled_and_compressed_mosaics(tmp_path):
    data = np.arange(300 * 300, dtype=np.int16).reshape(300, 300) % 500
    header = mosaic_header()
    header["CRPIX1"] = header["CRPIX2"] = 150.0
    rice = fits.CompImageHDU(data, header, compression_type="RICE_1", name="SCI")
    fits.HDUList([fits.PrimaryHDU(), rice]).writeto(tmp_path / "rice.fits.fz")
    scaled = fits.PrimaryHDU(data, header)
    scaled.writeto(tmp_path / "scaled.fits")
    with fits.open(tmp_path / "scaled.fits", mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update({"BSCALE": 0.5, "BZERO": 10.0})
    box = Box(20, 30, 24, 37)
    for name, expected in (("rice.fits.fz", data[box.slices]), ("scaled.fits", 0.5 * data[box.slices] + 10.0)):
        with open_mosaic(str(tmp_path / name)) as mosaic:
            np.testing.assert_array_equal(mosaic.read(box), expected)


# Servers that do not answer ------------------------------------------------------------------------------------------


@pytest.fixture
def quiet_server():
    """A server that accepts connections; `speak` is what it sends, byte by byte, 20 in a second."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve(speak):
        listener.settimeout(0.1)
        accepted = []
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            accepted.append(connection)
            for byte in speak:
                if stop.wait(0.05):
                    break
                with contextlib.suppress(OSError):
                    connection.send(bytes([byte]))
        for connection in accepted:
            connection.close()

    threads = []

    def start(speak):
        threads.append(threading.Thread(target=serve, args=(speak,)))
        threads[0].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/mosaic.fits"

    yield start
    stop.set()
    threads[0].join()
    listener.close()


@pytest.mark.parametrize("speak", [b"", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000], ids=["silent", "slow"])
def test_a_server_that_does_not_answer(quiet_server, monkeypatch, speak):
    monkeypatch.setattr(http_files, "SILENCE_S", 0.4)
    monkeypatch.setattr(http_files, "REQUEST_S", 0.8)
    url, start = quiet_server(speak), time.monotonic()
    with (
        pytest.raises(InputError, match=r"cannot be read: the server was silent for 0.4 s, or took more than 0.8"),
        open_mosaic(url),
    ):
        pass
    assert time.monotonic() - start < 10.0
