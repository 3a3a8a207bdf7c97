from __future__ import annotations

import copy

import pytest
from planned_jobs import RAW
from unblend.core.errors import ConfigError
from unblend.plan.config import load_config
from unblend.plan.jobs import sed_names


def names_of(band="k", **keys):
    raw = copy.deepcopy(RAW)
    raw["bands"][band].update(keys)
    return sed_names(load_config(raw).bands[band])


def test_names_follow_from_the_band_the_filter_and_what_is_given():
    assert names_of("f160w")["eazy"] == 205 and names_of("f160w")["prospector"] == "wfc3_ir_f160w"
    assert names_of() == {"lephare": "k", "cigale": "k", "bagpipes": "k"}
    found = names_of(filter="vista-ks", sed_filters={"lephare": "vista/Ks.pb"})
    assert found["eazy"] == 259 and found["lephare"] == "vista/Ks.pb" and found["cigale"] == "vista-ks"
    assert names_of(filter="205")["eazy"] == 205
    assert names_of("f160w", sed_filters={"eazy": 9})["eazy"] == 9


def test_a_name_with_a_blank_is_refused():
    with pytest.raises(ConfigError, match=r"bands\.k\.sed_filters\.cigale"):
        names_of(sed_filters={"cigale": "hst F160W"})
