"""The files of SED codes: in their documented format, and read by the codes themselves where they are installed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from unblend.io.sed_tables import write_lephare_keywords, write_sed, write_translation
from unblend.photometry.sed_columns import cigale_columns, lephare_columns, sed_columns, translation

PAGE = Path(__file__).resolve().parents[3] / "docs/sed-codes.md"
FILTERS = {"f160w": "f160w", "irac-ch1": "irac-ch1"}
BANDS = {
    "f160w": {"filter": "f160w", "sed": {"eazy": 205, "prospector": "wfc3_ir_f160w", "bagpipes": "f160w.txt"}},
    "irac-ch1": {"filter": "irac-ch1", "sed": {"eazy": 18, "prospector": "spitzer_irac_ch1", "bagpipes": "ch1.txt"}},
}
FLUX = np.array([[10.0, 20.0], [-0.5, np.nan]])
ERROR = np.array([[0.5, 2.0], [0.25, np.nan]])
CATALOGUE = {
    "id": np.array([5, 10000012]),
    **{f"flux_{band}_ujy": FLUX[:, k] for k, band in enumerate(FILTERS)},
    **{f"err_{band}_ujy": ERROR[:, k] for k, band in enumerate(FILTERS)},
}
KNOWN = np.isfinite(FLUX)
loose = pytest.mark.filterwarnings("ignore")
"""The codes warn of much that is not ours."""


@pytest.mark.parametrize("z_spec", [True, False])
def test_sed_table(tmp_path, z_spec):
    sed = {"id": np.array([1, 20]), "F205": np.array([10.0, -99.0]), "E205": np.array([0.1234567, -99.0])}
    write_sed(tmp_path / "c.cat", sed, "AB zero point 23.9", z_spec=z_spec)
    tail = " z_spec" if z_spec else ""
    value = " -1" if z_spec else ""
    assert (tmp_path / "c.cat").read_text() == (
        f"# id F205 E205{tail}\n# AB zero point 23.9\n1 10 0.123457{value}\n20 -99 -99{value}\n"
    )
    assert "z_spec" not in sed


def written_for_eazy(folder):
    write_sed(folder / "c.cat", sed_columns(CATALOGUE, FILTERS), "microjansky")
    write_translation(folder / "c.translate", translation(CATALOGUE, BANDS))
    return str(folder / "c.cat"), str(folder / "c.translate")


def test_the_tables_of_eazy_and_fast_as_documented(tmp_path):
    table, names = written_for_eazy(tmp_path)
    assert Path(names).read_text().splitlines()[:2] == ["F_f160w F205", "E_f160w E205"]
    # EAZY reads this format, FAST splits the first line
    found = Table.read(table, format="ascii.commented_header")
    assert found.colnames == ["id", "F_f160w", "E_f160w", "F_irac-ch1", "E_irac-ch1"]
    assert found["F_irac-ch1"].tolist() == [20.0, -99.0]


@loose
def test_eazy_reads_its_table(tmp_path):
    photoz, param = pytest.importorskip("eazy.photoz"), pytest.importorskip("eazy.param")
    table, names = written_for_eazy(tmp_path)
    curve = SimpleNamespace(name="filter curve", extinction_correction=lambda ebv: 0.0, pivot=1.0)
    settings = param.EazyParam()
    settings["CATALOG_FILE"], settings["CATALOG_FORMAT"] = table, "ascii.commented_header"
    settings["PRIOR_ABZP"] = 23.9
    reader = photoz.PhotoZ.__new__(photoz.PhotoZ)
    reader.param, reader.translate, reader.RES = settings, param.TranslateFile(names), {18: curve, 205: curve}
    reader.zgrid = np.array([0.1, 1.0])
    reader.read_catalog(verbose=False)
    assert reader.f_numbers.tolist() == [205, 18]
    assert reader.fnu[KNOWN] == pytest.approx(FLUX[KNOWN])
    assert reader.ok_data.tolist() == KNOWN.tolist()


def written_for_lephare(folder):
    write_sed(folder / "c.cat", lephare_columns(CATALOGUE, FILTERS), "erg/s/cm2/Hz")
    write_lephare_keywords(folder / "c.para", ["wfc3/f160w.pb", "irac/ch1.pb"])
    return folder / "c.cat", folder / "c.para"


def test_the_table_of_lephare_as_documented(tmp_path):
    table, keywords = written_for_lephare(tmp_path)
    lines = [line.split() for line in table.read_text().splitlines() if not line.startswith("#")]
    # LONG, MEME: id, flux and error of each band, context, redshift, text
    assert lines[0] == ["5", "1e-28", "5e-30", "2e-28", "2e-29", "3", "-99", "unblend"]
    assert lines[1] == ["10000012", "-5e-30", "2.5e-30", "-99", "-99", "1", "-99", "unblend"]
    found = dict(line.split() for line in keywords.read_text().splitlines())
    assert found["FILTER_LIST"] == "wfc3/f160w.pb,irac/ch1.pb" and found["CAT_IN"] == "c.cat"
    assert [found[name] for name in ("INP_TYPE", "CAT_FMT", "CAT_TYPE", "CAT_MAG")] == ["F", "MEME", "LONG", "AB"]


@loose
def test_lephare_reads_its_table(tmp_path):
    lephare = pytest.importorskip("lephare")
    table, keywords = written_for_lephare(tmp_path)
    config = lephare.read_config(str(keywords))
    found = Table.read(table, format="ascii.commented_header")
    ids, flux, error, context, zspec, _ = lephare.table_to_data(config, found)
    assert ids == ["5", "10000012"] and list(context) == [3, 1] and list(zspec) == [-99, -99]
    assert flux[KNOWN] == pytest.approx(FLUX[KNOWN] * 1e-29, rel=1e-5, abs=0)
    assert error[KNOWN] == pytest.approx(ERROR[KNOWN] * 1e-29, rel=1e-5, abs=0)
    assert flux[1, 1] == -99


def test_the_table_of_cigale_as_documented(tmp_path):
    write_sed(tmp_path / "c.txt", cigale_columns(CATALOGUE, {"f160w": "hst.F160W", "irac-ch1": "irac.ch1"}), "mJy")
    # as CIGALE does
    found = Table.read(tmp_path / "c.txt", format="ascii", delimiter=r"\s")
    assert found.colnames == ["id", "redshift", "hst.F160W", "hst.F160W_err", "irac.ch1", "irac.ch1_err"]
    assert np.ma.filled(found["hst.F160W"], np.nan) == pytest.approx(FLUX[:, 0] / 1e3)
    assert np.isnan(np.ma.filled(found["irac.ch1"], np.nan)[1])


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Return what the examples of the documentation define: for BAGPIPES, for Prospector."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    Table(CATALOGUE).write("results/catalogue.fits")
    (tmp_path / "results/catalogue.sed.json").write_text(json.dumps({name: b["sed"] for name, b in BANDS.items()}))
    scopes: list[dict] = []
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        scopes.append({})
        exec(code, scopes[-1])
    return scopes


def test_the_example_for_bagpipes(examples):
    bagpipes, _ = examples
    np.testing.assert_allclose(bagpipes["load_data"]("5"), np.stack([FLUX[0], ERROR[0]], axis=1))
    np.testing.assert_allclose(bagpipes["load_data"]("10000012"), [[-0.5, 0.25], [0.0, 9.9e99]])
    assert bagpipes["curves"] == ["f160w.txt", "ch1.txt"]


@loose
def test_bagpipes_takes_the_example(examples, tmp_path):
    code = pytest.importorskip("bagpipes")
    for name, centre in (("f160w.txt", 15400), ("ch1.txt", 35600)):
        np.savetxt(name, [(centre - 500, 0.0), (centre - 400, 1.0), (centre + 400, 1.0), (centre + 500, 0.0)])
    scope = examples[0]
    galaxy = code.galaxy("5", scope["load_data"], spectrum_exists=False, filt_list=scope["curves"], out_units="mujy")
    assert galaxy.photometry[:, 0] == pytest.approx([15400, 35600], rel=0.01)
    assert galaxy.photometry[:, 1] == pytest.approx(FLUX[0]) and galaxy.photometry[:, 2] == pytest.approx(ERROR[0])


def test_the_example_for_prospector(examples):
    _, prospector = examples
    observed = prospector["observation"](10000012)
    # AB 23.9 is one microjansky
    assert -2.5 * np.log10(prospector["observation"](5)["maggies"][0] / 10.0) == pytest.approx(23.9, abs=1e-3)
    assert observed["phot_mask"].tolist() == [True, False]
    assert prospector["filters"] == ["wfc3_ir_f160w", "spitzer_irac_ch1"]


@loose
def test_prospector_takes_the_example(examples):
    observate, utils = pytest.importorskip("sedpy.observate"), pytest.importorskip("prospect.utils.obsutils")
    scope = examples[1]
    observed = scope["observation"](10000012)
    observed |= {"filters": observate.load_filters(scope["filters"]), "wavelength": None, "spectrum": None}
    found = utils.fix_obs(observed)
    assert [f.wave_effective for f in found["filters"]] == pytest.approx([15369, 35400], rel=0.02)
    assert found["ndof"] == 1
