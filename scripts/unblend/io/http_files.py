"""A file of an http server of which only parts are read, and every part is checked to be the one that was asked for.

A server may send less than it was asked for, another part, a page in HTML with the status 200, or a file that has
changed since the last request. fsspec takes all of these for the bytes of the file.
"""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus

import aiohttp
from fsspec.asyn import sync, sync_wrapper
from fsspec.implementations.http import HTTPFile, HTTPFileSystem

from ..core.errors import InputError

BLOCK_SIZE = 1_000_000
"""Bytes of one request. fsspec's own 5 MB are several times more data than a small cutout needs."""
SILENCE_S, REQUEST_S = 60.0, 300.0
"""Seconds without an answer, and seconds for one request, after which a server is given up."""
WAITS_S = (1.0, 5.0)
"""Seconds before a request is repeated after a lost connection or an answer that says that the server is busy."""
BUSY = {408, 425, 429, 500, 502, 503, 504}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_DOWNLOAD = "download the file and give its path"


class _TransientError(Exception):
    """A request has failed in a way that may be over soon."""


class PartlyReadFile(HTTPFile):
    """A file of an http server, read in blocks.

    Parameters
    ----------
    url : str

    Raises
    ------
    InputError
        The server cannot be reached, does not have the file, or cannot send parts of it.
    """

    def __init__(self, url: str) -> None:
        limits = aiohttp.ClientTimeout(total=REQUEST_S, sock_connect=SILENCE_S, sock_read=SILENCE_S)
        files = HTTPFileSystem(client_kwargs={"timeout": limits, "trust_env": True}, skip_instance_cache=True)
        self.url, self.loop, self.asynchronous = url, files.loop, False
        self.session = sync(files.loop, files.set_session)
        self._version: str | None = None
        self._whole_size: int | None = None
        # its length is that of the first answer: some servers give none, or another one, without a part
        first = self._fetch_range(0, BLOCK_SIZE)
        size = len(first) if self._whole_size is None else self._whole_size
        super().__init__(files, url, session=self.session, block_size=BLOCK_SIZE, size=size, loop=files.loop)

    async def async_fetch_range(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to before `end`, fewer at the end of the file.

        Raises
        ------
        InputError
            The server does not send them.
        """
        found = b""
        while start + len(found) < (end if self._whole_size is None else min(end, self._whole_size)):
            part = await self._repeated(start + len(found), end)
            if not part:
                raise self._error(f"it ends at byte {start + len(found)}, before its end", f"Run again, or {_DOWNLOAD}")
            found += part
        return found

    _fetch_range = sync_wrapper(async_fetch_range)

    async def _repeated(self, start: int, end: int) -> bytes:
        waits = iter(WAITS_S)
        while True:
            try:
                return await self._requested(start, end)
            except _TransientError as error:
                wait = next(waits, None)
                if wait is None:
                    times = f"{error}, {len(WAITS_S) + 1} times"
                    raise self._error(times, f"Run again later, or {_DOWNLOAD}") from error
                await asyncio.sleep(wait)

    async def _requested(self, start: int, end: int) -> bytes:
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        try:
            async with self.session.get(self.url, headers=headers) as answer:
                self._check_status(answer)
                length = self._length_of_part(answer, start, end)
                body = b"" if length is None else bytes(await answer.read())
        except TimeoutError as error:
            reason = f"the server was silent for {SILENCE_S:g} s, or took more than {REQUEST_S:g} s for one request"
            raise self._error(reason, f"Run again, or {_DOWNLOAD}") from error
        except aiohttp.TooManyRedirects as error:
            raise self._error("the server redirects from one address to the next without end") from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError) as error:
            raise self._error("it is no valid address, or redirects to none") from error
        except aiohttp.ClientConnectorError as error:
            reason = f"there is no connection to {error.host} ({error.os_error.strerror or error.os_error})"
            raise self._error(reason, "Check the address and the network") from error
        except aiohttp.ClientError as error:
            raise _TransientError("the connection was lost") from error
        if len(body) != length:
            raise self._error("the server has sent another part of the file than it was asked for", _DOWNLOAD)
        return body

    def _check_status(self, answer: aiohttp.ClientResponse) -> None:
        """Check that an answer has a part of the file.

        Raises
        ------
        InputError
            It has not, and will not have one.
        _TransientError
            The server is busy.
        """
        status = answer.status
        if status == HTTPStatus.PARTIAL_CONTENT:
            return
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise self._error("the file is empty or shorter than before", f"Run again, or {_DOWNLOAD}")
        said = f"the server says {status} {answer.reason or ''}".rstrip()
        if status in BUSY:
            raise _TransientError(said)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise self._error(f"{said}: it may want a login", f"Check the address, or {_DOWNLOAD}")
        if status != HTTPStatus.OK:
            raise self._error(said)
        if answer.content_type in ("text/html", "application/xhtml+xml"):
            raise self._error("the server has sent a web page, such as one of an error or a login")
        raise self._error("the server sends no parts of it", _DOWNLOAD)

    def _length_of_part(self, answer: aiohttp.ClientResponse, start: int, end: int) -> int | None:
        """Return the length of the part that an answer has, None where it is another one.

        Raises
        ------
        InputError
            The file has changed since the first answer.
        """
        named = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
        if named is None or int(named[1]) != start or not start <= int(named[2]) < end:
            return None
        size = None if named[3] == "*" else int(named[3])
        version = answer.headers.get("Last-Modified") or answer.headers.get("ETag")
        if self._version is None:
            self._version, self._whole_size = version or "", size
        elif size != self._whole_size or (version or "") != self._version:
            raise self._error("it has changed on the server while it was read", "Run again")
        return int(named[2]) - start + 1

    def _error(self, reason: str, advice: str = "Check the address") -> InputError:
        return InputError(f"{self.url} cannot be read: {reason}. {advice[0].upper()}{advice[1:]}.")
