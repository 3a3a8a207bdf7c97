"""The fewest keys that a configuration needs, as parsed YAML, and edits of it."""

from __future__ import annotations

import copy
from typing import Any

from unblend.plan.config import Config, load_config

MINIMAL: dict[str, Any] = {
    "target": {"ra": 53.0, "dec": -27.8},
    "detection": {"bands": ["f125w", "f160w"]},
    "models": {"psf": "f160w"},
    "bands": {
        "f125w": {"image": "f125w.fits", "psf": "psf.fits"},
        "f160w": {"image": "sub/f160w_drz.fits.gz[SCI]", "psf": "psf.fits"},
        "irac-ch1": {"image": "irac.fits", "psf": "psf1.fits", "zero_point": 21.58},
    },
}


def load(*edits: tuple[str, Any]) -> Config:
    """Load the minimal configuration after edits (keys joined by /, value); the value `...` drops the key."""
    raw = copy.deepcopy(MINIMAL)
    for key, value in edits:
        *path, last = key.split("/") if isinstance(key, str) else [key]
        place = raw
        for part in path:
            place = place.setdefault(part, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return load_config(raw)
