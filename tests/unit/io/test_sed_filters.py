from __future__ import annotations

import pytest
import yaml
from unblend.io.sed_filters import TABLE, names_in_codes


@pytest.mark.parametrize(
    ("name", "eazy", "prospector"),
    [
        ("f160w", 205, "wfc3_ir_f160w"),
        ("HST-F814W", 239, "acs_wfc_f814w"),
        ("wfc3_uvis_f814w", 217, "wfc3_uvis_f814w"),
        ("irac-ch1", 18, "spitzer_irac_ch1"),
        ("jwst.nircam.f444w", 377, "jwst_f444w"),
        ("hsc-i", 316, "hsc_i"),
        ("VISTA Ks", 259, "vista_vircam_Ks"),
        ("f480m", None, "jwst_f480m"),
        ("hawki-ks", 269, None),
    ],
)
def test_known_filters(name, eazy, prospector):
    found = names_in_codes(name)
    assert (found.get("eazy"), found.get("prospector")) == (eazy, prospector)


def test_the_first_known_name_counts():
    assert names_in_codes("205", "irac-ch1") == {"eazy": 205}
    assert names_in_codes("my filter", "irac-ch1")["eazy"] == 18
    # which camera's Ks?
    assert names_in_codes("ks", "muse") == {}


@pytest.mark.filterwarnings("ignore")
def test_sedpy_has_the_filters_of_prospector():
    observate = pytest.importorskip("sedpy.observate")
    names = [row["prospector"] for row in yaml.safe_load(TABLE.read_text()) if "prospector" in row]
    assert len(observate.load_filters(names)) == len(names) > 50
