"""The server of the page: only with its token, only for this machine, only products; runs and what they changed."""

from __future__ import annotations

import json
import sys
import threading
import time
from http.client import HTTPConnection

import numpy as np
import pytest
from planned_jobs import RAW, jobs_of, write_field
from unblend.io.tables import columns, write_table
from unblend.run.page_server import FieldEditor, PageServer


def write_catalogue(path, flux):
    write_table(path, columns(id=np.array([1, 2]), flux_k=np.array(flux), err_k=np.ones(2)), name="CATALOGUE")


@pytest.fixture
def field(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_field(tmp_path)
    return tmp_path


@pytest.fixture
def server(field):
    results = field / "results"
    (results / "report").mkdir(parents=True)
    (results / "report/index.html").write_text("the page")
    (results.parent / "secret.txt").write_text("secret")
    write_catalogue(results / "catalogue.fits", [1.0, 2.0])
    program = (
        "import numpy as np; from astropy.table import Table; print('fits 1 of 1', flush=True); "
        "name = 'results/catalogue.fits'; t = Table.read(name); t['flux_k'][1] = 5.0; t.write(name, overwrite=True)"
    )
    made = PageServer(FieldEditor(lambda: jobs_of(RAW), [sys.executable, "-c", program]))
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def request(server, path, body=None, host="127.0.0.1", **headers):
    """Return status and content of a request; a body makes it a POST."""
    port = server.server_address[1]
    connection = HTTPConnection("127.0.0.1", port)
    method = "GET" if body is None else "POST"
    connection.request(method, path, body=body, headers={"Host": f"{host}:{port}", **headers})
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, content


def ask(server, action, **words):
    status, content = request(server, f"/{server.token}/api/{action}", json.dumps(words))
    return status, json.loads(content)


def test_only_products_and_only_with_the_token(server):
    assert server.address == f"http://127.0.0.1:{server.server_address[1]}/{server.token}/report/index.html"
    assert request(server, f"/{server.token}/report/index.html") == (200, b"the page")
    for path in ("/report/index.html", "/", f"/{server.token}", "/wrong/report/index.html", f"/{server.token}x/report"):
        assert request(server, path)[0] == 403, path
        assert request(server, path, "{}")[0] == 403, path
    for path in ("../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "", "nothing", "api/files"):
        assert request(server, f"/{server.token}/{path}")[0] == 404, path
    # a page of another name that leads to this machine
    assert request(server, f"/{server.token}/report/index.html", host="evil.example")[0] == 403


def test_requests_that_make_no_sense_are_answered_with_a_sentence(server):
    assert request(server, f"/{server.token}/api/delete", "{}")[0] == 404
    assert request(server, f"/{server.token}/api/files", "", **{"Content-Length": "2000000"})[0] == 404
    assert ask(server, "add", key="nothing", shape={})[0] == 400
    status, content = request(server, f"/{server.token}/api/add", "no JSON")
    assert status == 400 and b"is not understood" in content
    status, answer = ask(server, "override", id=7, text="nn 4 fixed")
    assert status == 409 and "did you mean n" in answer["error"]


def test_an_edit_is_saved_and_read_again(server, field, monkeypatch):
    for name in ("a.fits",):
        (field / "results/det_stack.fits").write_bytes((field / "data" / name).read_bytes())
    status, answer = ask(server, "files")
    assert status == 200 and all(not file["lines"] for file in answer["files"])
    status, answer = ask(server, "add", key="bad:k", shape={"kind": "circle", "centre": [1, 1], "radius": 1})
    (file,) = [file for file in answer["files"] if file["key"] == "bad:k"]
    assert status == 200 and (field / file["path"]).read_text().strip() == file["lines"][0][1]
    number, line = file["lines"][0]
    assert ask(server, "remove", key="bad:k", number=number, line=line)[0] == 200
    assert ask(server, "remove", key="bad:k", number=number, line=line)[0] == 409
    assert ask(server, "override", id=7, text="n 4 fixed")[1]["exists"]
    assert (field / "data/overrides/7.dat").read_text() == "n 4 fixed\n"


def test_a_run_and_what_it_has_changed(server):
    assert ask(server, "state")[1] == {"running": False, "code": None, "lines": [], "changes": None}
    status, answer = ask(server, "run")
    assert status == 200 and ask(server, "run")[1]["running"] in (True, False)
    end = time.monotonic() + 60
    while (answer := ask(server, "state")[1])["running"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert answer["code"] == 0 and answer["lines"] == ["fits 1 of 1"]
    assert answer["changes"] == [{"id": 2, "state": "changed", "sigmas": 3.0, "bands": {"k": [2.0, 1.0, 5.0, 1.0]}}]


def test_the_files_of_a_large_page_need_the_token_too(server, field):
    at = field / "results/report/index_files/0123/cards"
    at.mkdir(parents=True)
    (at / "0.js").write_text('chunk("cards/0",{});')
    path = "report/index_files/0123/cards/0.js"
    assert request(server, f"/{server.token}/{path}") == (200, b'chunk("cards/0",{});')
    assert request(server, f"/{path}")[0] == 403
    # no list of the files, and nothing above the products
    assert request(server, f"/{server.token}/report/index_files/0123/cards/")[0] == 404
    assert request(server, f"/{server.token}/report/index_files/../../../secret.txt")[0] == 404


def test_a_browser_that_has_gone_leaves_no_traceback(server, capsys):
    """As on a reload of a page that is still being sent; other errors are told."""
    for error, told in (
        (BrokenPipeError(), ""),
        (ConnectionResetError(), ""),
        (ValueError("wrong"), "ValueError: wrong"),
    ):
        try:
            raise error
        except (OSError, ValueError):
            server.handle_error(None, ("127.0.0.1", 1))
        said = capsys.readouterr().err
        assert told in said and bool(said) == bool(told)
