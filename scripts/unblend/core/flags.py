"""The quality flags: one registry of name, bit and sentence. The documentation is made from it."""

from enum import IntFlag


class Flag(IntFlag):
    """Bits of the columns `flag_{band}` (fluxes) and `flag` (fits and fluxes). Zero: nothing to say."""

    NO_PIXELS = 1 << 0
    PARTLY_MASKED = 1 << 1
    DEGENERATE = 1 << 2
    ON_EDGE = 1 << 3
    NO_MODEL = 1 << 4
    FIT_RETRIED = 1 << 5
    FIT_REPLACED = 1 << 6
    FIT_ON_BOUND = 1 << 7
    FIT_POOR_CHI2 = 1 << 8
    SHAPE_UNCERTAIN = 1 << 9
    CUSTOM_MODEL = 1 << 10
    OVERRIDDEN = 1 << 11
    MANUAL_DETECTION = 1 << 12
    MERGED_SEGMENTS = 1 << 13
    POINT_SOURCE = 1 << 14
    PSF_UNDERSAMPLED = 1 << 15
    FIT_TIMED_OUT = 1 << 16
    SHAPE_FIXED = 1 << 17
    CENTRE_ASTRAY = 1 << 18


SENTENCES: dict[Flag, str] = {
    Flag.NO_PIXELS: "The band has no usable pixel under the source: flux and error are NaN.",
    Flag.PARTLY_MASKED: "More than a tenth of the template's light falls on masked pixels.",
    Flag.DEGENERATE: "The data cannot tell the source from a neighbour: the error has grown, only the sum is sure.",
    Flag.ON_EDGE: "More than a tenth of the template's light falls off the image.",
    Flag.NO_MODEL: "The source has no model: flux and error are NaN.",
    Flag.FIT_RETRIED: "The first fit was suspicious or failed; a second one from other start values was taken.",
    Flag.FIT_REPLACED: "Every fit failed: the model is a Sersic profile from the moments of the segment.",
    Flag.FIT_ON_BOUND: "A parameter of the fit ended on its bound.",
    Flag.FIT_POOR_CHI2: "The fit's reduced chi2 is above 1.35: often an undetected blend, or a shape no Sersic has.",
    Flag.SHAPE_UNCERTAIN: "The Sersic index is known to no better than half its value.",
    Flag.CUSTOM_MODEL: "The model is the user's own image from custom_dir.",
    Flag.OVERRIDDEN: "The fit honoured the user's file in overrides_dir.",
    Flag.MANUAL_DETECTION: "The source comes from manual_regions.",
    Flag.MERGED_SEGMENTS: "The segment was merged by merge_regions.",
    Flag.POINT_SOURCE: "The model is a point source.",
    Flag.PSF_UNDERSAMPLED: "The band's PSF has a FWHM below 2.5 of its own pixels: bright fluxes may be off by 1 %.",
    Flag.FIT_TIMED_OUT: "A fit ran out of time (models.timeout).",
    Flag.SHAPE_FIXED: "Too faint for a free shape: the index is the most probable one under a weak prior about 1.3.",
    Flag.CENTRE_ASTRAY: "The centre of the model lies on the segment of another source.",
}


def describe(value: int) -> list[str]:
    """Return the sentences of all bits set in `value`, lowest bit first."""
    return [SENTENCES[flag] for flag in Flag if value & flag]


def names(value: int) -> list[str]:
    """Return the lower-case names of all bits set in `value`, lowest bit first."""
    return [flag.name.lower() for flag in Flag if value & flag and flag.name]


def markdown() -> str:
    """Return the page docs/flags.md."""
    lines = [
        "# Quality flags",
        "",
        "Bits of `flag` (the fit and the detection) and of `flag_{band}` (these and the band's own) in the catalogue; "
        "0: nothing to say.",
        "",
        "| bit | value | name | meaning |",
        "|---|---|---|---|",
    ]
    for flag, sentence in SENTENCES.items():
        lines.append(f"| {flag.value.bit_length() - 1} | {flag.value} | {names(flag.value)[0]} | {sentence} |")
    return "\n".join(lines) + "\n"
