from __future__ import annotations

import json

import pytest
from unblend.core.errors import InputError
from unblend.io.psf_polygons import read_psf_polygons

SQUARE = [[10.0, 1.0], [10.0, 2.0], [11.0, 2.0], [11.0, 1.0], [10.0, 1.0]]
HOLE = [[10.4, 1.4], [10.6, 1.4], [10.6, 1.6]]
LABELS = ("1", "2", "WEST")


def geojson(path, *features):
    content = [
        {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}
        for properties, kind, coordinates in features
    ]
    (path / "psf.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": content}))
    return str(path / "psf.geojson")


def test_geojson_counts_from_zero_and_joins_rings(tmp_path):
    name = geojson(
        tmp_path,
        ({"psf_key": 0}, "Polygon", [SQUARE, HOLE]),
        ({"psf_key": "WEST"}, "MultiPolygon", [[SQUARE], [SQUARE]]),
    )
    found = read_psf_polygons(name, LABELS)
    assert [(p.number, p.psf, len(p.line.points)) for p in found] == [(0, 0, 4), (0, 0, 3), (1, 2, 4), (2, 2, 4)]
    assert found[0].line.frame == "icrs" and found[0].line.points[1] == (10.0, 2.0)


def test_negative_right_ascensions(tmp_path):
    name = geojson(tmp_path, ({"psf_key": 1}, "Polygon", [[[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]))
    assert read_psf_polygons(name, LABELS)[0].line.points[0] == (359.0, 0.0)


@pytest.mark.parametrize("key", [3, -1, 1.0, True, None, "EAST"])
def test_geojson_with_a_psf_that_is_not_there(tmp_path, key):
    name = geojson(tmp_path, ({"psf_key": key}, "Polygon", [SQUARE]))
    with pytest.raises(InputError, match=r"feature 1 has psf_key = .*; expected the index of one of the 3 PSFs, from"):
        read_psf_polygons(name, LABELS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no json", "is not a GeoJSON file with polygons"),
        (
            '{"features": [{"properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}]}',
            "is not a GeoJSON",
        ),
        ('{"features": []}', "has no polygon"),
    ],
)
def test_geojson_that_cannot_be_understood(tmp_path, text, found):
    (tmp_path / "psf.json").write_text(text)
    with pytest.raises(InputError, match=found):
        read_psf_polygons(str(tmp_path / "psf.json"), LABELS)


@pytest.mark.parametrize(
    ("ring", "found"),
    [
        ([[1, 2], [3, 4]], "feature 1: expected at least 3 positions"),
        ([1, 2, 3], r"expected positions \[RA, Dec\]"),
        ([[1, 2], [3, 4], [5, 91]], "at least 3 positions on the sky"),
    ],
)
def test_rings_that_are_no_polygons(tmp_path, ring, found):
    name = geojson(tmp_path, ({"psf_key": 0}, "Polygon", [ring]))
    with pytest.raises(InputError, match=found):
        read_psf_polygons(name, LABELS)


def test_ds9_polygons_count_from_one(tmp_path):
    (tmp_path / "psf.reg").write_text(
        "fk5\npolygon(10,1,10,2,11,2) # text={2}\nimage\npolygon(1,1,50,1,50,50,1,50) # text={WEST}\n"
    )
    found = read_psf_polygons(str(tmp_path / "psf.reg"), LABELS)
    assert [(p.number, p.psf, p.line.frame) for p in found] == [(0, 1, "fk5"), (1, 2, "image")]
    assert found[1].line.points[1] == (0.0, 49.0)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("polygon(10,1,10,2,11,2) # text={0}", "the text of the polygon is '0'; expected its PSF, one of 1, 2, WEST"),
        ("polygon(10,1,10,2,11,2)", "the text of the polygon is ''"),
        ("circle(10,1,5\") # text={1}", "line 2: expected polygons, found circle"),
        ("-polygon(10,1,10,2,11,2) # text={1}", "expected polygons, found -polygon"),
    ],
)  # fmt: skip
def test_ds9_regions_that_name_no_psf(tmp_path, line, found):
    (tmp_path / "psf.reg").write_text(f"fk5\n{line}\n")
    with pytest.raises(InputError, match=found):
        read_psf_polygons(str(tmp_path / "psf.reg"), LABELS)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="does not exist; expected the polygons of the PSFs"):
        read_psf_polygons(str(tmp_path / "psf.reg"), LABELS)
