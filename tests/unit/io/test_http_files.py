"""Servers that send something else than the part of the file that they were asked for."""

from __future__ import annotations

import gzip
import re
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

import numpy as np
import pytest
from astropy.io import fits
from http_server import serving
from unblend.core.errors import InputError
from unblend.io import http_files
from unblend.io.http_files import PartlyReadFile
from unblend.io.mosaics import open_mosaic

CONTENT = bytes(np.random.default_rng(1).integers(0, 256, 5000, dtype=np.uint8))
PAGE = b"<!DOCTYPE html><html><body>Please log in.</body></html>"


class Handler(BaseHTTPRequestHandler):
    """Answers for the file /FAULT with that fault."""

    requests: ClassVar[dict[str, int]] = {}
    content = CONTENT

    def do_GET(self):
        fault = self.path.strip("/")
        number = self.requests[fault] = self.requests.get(fault, 0) + 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        assert asked, "the whole file was asked for"
        start, stop = int(asked[1]), min(int(asked[2]) + 1, len(self.content))
        if fault.startswith("status-"):
            self.answer(int(fault.removeprefix("status-")), b"no")
        elif fault == "busy-at-first" and number <= 2:
            self.answer(503, b"no")
        elif fault == "redirected":
            self.answer(302, b"", {"Location": "/right"})
        elif fault == "redirected-in-a-circle":
            self.answer(302, b"", {"Location": "/redirected-in-a-circle"})
        elif fault == "page" or (fault == "page-later" and number > 1):
            self.answer(200, PAGE, {"Content-Type": "text/html; charset=utf-8"})
        elif fault == "no-parts":
            self.answer(200, self.content)
        elif fault == "empty":
            self.answer(416, b"")
        else:
            self.part(fault, number, start, stop)

    def part(self, fault, number, start, stop):
        said = (start, stop)
        if fault == "in-pieces":  # which is allowed
            said = (start, stop) = (start, min(stop, start + 700))
        if fault == "another-part":
            said = (start, stop) = (start + 10, stop)
        if fault == "too-much":
            said = (start, stop) = (start, stop + 10)
        body = self.content[start:stop][: -10 if fault == "too-little" else None]
        size = len(self.content) + (number if fault == "grows" else 0)
        date = f"Mon, 02 Nov 2026 10:00:{number if fault == 'renewed' else 0:02} GMT"
        headers = {"Content-Range": f"bytes {said[0]}-{said[1] - 1}/{size}", "Last-Modified": date}
        self.answer(206, body, headers, cut=fault == "cut")

    def answer(self, status, body, headers=None, cut=False):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, *_):
        """Do not log requests."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http_files, "WAITS_S", (0.01, 0.01))
    monkeypatch.setattr(http_files, "BLOCK_SIZE", 1000)
    handler = type("OneServer", (Handler,), {"requests": {}})
    with serving(handler) as address:
        yield address, handler


def read(url):
    with PartlyReadFile(url) as file:
        file.seek(2500)
        return file.read(1500)


@pytest.mark.parametrize("name", ["right", "redirected", "in-pieces", "busy-at-first"])
def test_the_bytes_are_those_of_the_file(server, name):
    assert read(f"{server[0]}/{name}") == CONTENT[2500:4000]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("status-404", "the server says 404 Not Found. Check the address."),
        ("status-403", "the server says 403 Forbidden: it may want a login"),
        ("status-503", "the server says 503 Service Unavailable, 3 times. Run again later"),
        ("redirected-in-a-circle", "the server redirects from one address to the next without end"),
        ("page", "the server has sent a web page"),
        ("page-later", "the server has sent a web page"),
        ("no-parts", "the server sends no parts of it. Download the file"),
        ("empty", "the file is empty or shorter than before"),
        ("another-part", "another part of the file than it was asked for"),
        ("too-much", "another part of the file than it was asked for"),
        ("too-little", "another part of the file than it was asked for"),
        ("cut", "the connection was lost, 3 times. Run again later"),
        ("grows", "it has changed on the server while it was read. Run again"),
        ("renewed", "it has changed on the server while it was read. Run again"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(server, fault, sentence):
    with pytest.raises(InputError, match=rf"/{fault} cannot be read: .*{re.escape(sentence)}") as caught:
        read(f"{server[0]}/{fault}")
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there():
    with pytest.raises(InputError, match=r"there is no connection to 127.0.0.1 .*Check the address and the network"):
        PartlyReadFile("http://127.0.0.1:9/m.fits")


@pytest.mark.parametrize("url", ["http://[broken/m.fits", "http://"])
def test_no_address(url):
    with pytest.raises(InputError, match=r"no valid address|no connection"):
        PartlyReadFile(url)


def test_a_compressed_mosaic(server, tmp_path):
    header = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4}
    data = np.arange(400.0).reshape(20, 20)
    fits.writeto(tmp_path / "m.fits", data, fits.Header(header | {"CRPIX1": 10.0, "CRPIX2": 10.0}))
    server[1].content = gzip.compress((tmp_path / "m.fits").read_bytes())
    with open_mosaic(f"{server[0]}/m.fits.gz") as mosaic:
        assert mosaic.hdu.section[3:5, 7:9] == pytest.approx(data[3:5, 7:9])
