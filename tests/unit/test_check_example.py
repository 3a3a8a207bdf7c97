from __future__ import annotations

import check_example
import fitsio
import numpy as np
import pytest
from unblend.core.errors import InputError

BANDS = ("f160w", "irac-ch1")


def write_truth(path, number: int = 40) -> np.ndarray:
    columns = [("id", "i4"), ("ra", "f8"), ("dec", "f8"), ("in_field", "?"), ("is_star", "?"), ("kind", "S8")]
    columns += [("edge_arcsec", "f8"), ("r_e_arcsec", "f8")]
    columns += [(f"{kind}_{band}", "f8") for band in BANDS for kind in ("flux", "snr")]
    table = np.zeros(number, dtype=columns)
    table["id"], table["ra"], table["dec"] = np.arange(1, number + 1), 53.0 + np.arange(number) * 5.0 / 3600.0, -27.8
    table["in_field"], table["kind"], table["edge_arcsec"] = True, b"galaxy", 9.0
    for band in BANDS:
        table[f"flux_{band}"] = table[f"snr_{band}"] = np.geomspace(21, 500, number)
    fitsio.write(path, table, clobber=True)
    return table


def write_catalogue(path, true: np.ndarray, found: slice, factor: float = 1.0) -> None:
    columns = [("id", "i4"), ("ra", "f8"), ("dec", "f8")]
    columns += [
        (f"{kind}_{band}", "i4" if kind == "flag" else "f8") for band in BANDS for kind in ("flux", "err", "flag")
    ]
    rows = true[found]
    table = np.zeros(len(rows), dtype=columns)
    rng = np.random.default_rng(0)
    for name in ("ra", "dec"):
        table[name] = rows[name] + 0.03 / 3600.0
    for band in BANDS:
        table[f"err_{band}"] = 1.0
        table[f"flux_{band}"] = factor * rows[f"flux_{band}"] + rng.standard_normal(len(rows))
    fitsio.write(path, table, clobber=True)


def test_a_complete_catalogue_passes_with_a_figure(tmp_path, capsys):
    true = write_truth(tmp_path / "truth.fits")
    write_catalogue(tmp_path / "cat.fits", true, slice(None))
    assert check_example.main(str(tmp_path / "cat.fits"), str(tmp_path / "truth.fits"), str(tmp_path / "out.png"))
    text = capsys.readouterr().out
    assert "completeness above S/N 20 in f160w: 100.0 % of 40 galaxies" in text
    assert "irac-ch1: 40 fluxes" in text and "pull sigma" in text
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_less_than_95_per_cent_fails_and_names_the_missed(tmp_path, capsys):
    true = write_truth(tmp_path / "truth.fits")
    write_catalogue(tmp_path / "cat.fits", true, slice(3, None))
    assert not check_example.main(str(tmp_path / "cat.fits"), str(tmp_path / "truth.fits"))
    assert "92.5 % of 40 galaxies; missed, by the truth's id: 1, 2, 3" in capsys.readouterr().out


def test_a_bias_shows(tmp_path, capsys):
    true = write_truth(tmp_path / "truth.fits")
    write_catalogue(tmp_path / "cat.fits", true, slice(None), factor=1.5)
    check_example.main(str(tmp_path / "cat.fits"), str(tmp_path / "truth.fits"))
    bright = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("> 20")]
    assert len(bright) == 2
    assert all(float(line.split()[3]) == pytest.approx(50.0, abs=2.0) for line in bright)


def test_a_missing_catalogue_is_named(tmp_path):
    write_truth(tmp_path / "truth.fits")
    with pytest.raises(InputError, match=r"nothing\.fits does not exist; expected a FITS table"):
        check_example.main(str(tmp_path / "nothing.fits"), str(tmp_path / "truth.fits"))
