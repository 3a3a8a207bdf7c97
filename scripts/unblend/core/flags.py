"""Quality flags: the bit, name and meaning of each. docs/flags.md is generated from this table."""

from enum import IntFlag


class Flag(IntFlag):
    """Bits of the columns `flag_{band}` (fluxes) and `flag` (detection and fits); 0 means no flag is set."""

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
    SKY_ON_BOUND = 1 << 19
    WITH_DETAIL = 1 << 20
    BAND_MISFIT = 1 << 21
    SHIFT_FAILED = 1 << 22
    SECOND_DETECTION = 1 << 23
    HIDDEN_NEIGHBOUR = 1 << 24
    BEYOND_GROWTH_CURVE = 1 << 25
    SATURATED = 1 << 26
    PSF_FROM_AFAR = 1 << 27
    SKY_HELD = 1 << 28
    LOCAL_OFFSET = 1 << 29
    BAND_ONLY_NEIGHBOUR = 1 << 30


SENTENCES: dict[Flag, str] = {
    Flag.NO_PIXELS: "Less than 15 % of the template's flux, or too little, is on usable pixels: it has no flux (NaN).",
    Flag.PARTLY_MASKED: "More than 10 % of the template's flux falls on masked pixels.",
    Flag.DEGENERATE: "The flux is degenerate with that of a neighbour: only their sum is well constrained.",
    Flag.ON_EDGE: "More than 10 % of the template's flux falls outside the image.",
    Flag.NO_MODEL: "The source has no model: flux and error are NaN.",
    Flag.FIT_RETRIED: "A fit failed or was unreliable: one from other start values, or the first pass, was adopted.",
    Flag.FIT_REPLACED: "All fits failed: the model is a Sersic profile from the moments of the segment.",
    Flag.FIT_ON_BOUND: "A fitted parameter is at the limit of its allowed range.",
    Flag.FIT_POOR_CHI2: (
        "Reduced chi2 over the N segment pixels exceeds 1.35 and 1 + 4 sqrt(2/N): often a blend or non-Sersic shape."
    ),
    Flag.SHAPE_UNCERTAIN: "The error of the Sersic index is more than half its value.",
    Flag.CUSTOM_MODEL: "The model is an image supplied by the user in custom_dir.",
    Flag.OVERRIDDEN: "The fit used the user's override file in overrides_dir.",
    Flag.MANUAL_DETECTION: "The source was added with manual_regions.",
    Flag.MERGED_SEGMENTS: "The segment was merged with others by merge_regions.",
    Flag.POINT_SOURCE: "The model is a point source.",
    Flag.PSF_UNDERSAMPLED: "The FWHM of the band's PSF is below 2.5 PSF pixels: bright fluxes may be wrong by 1 %.",
    Flag.FIT_TIMED_OUT: "A fit exceeded the time limit models.timeout: that of the first pass is kept if it converged.",
    Flag.SHAPE_FIXED: "Too faint to fit the Sersic index freely: a weak prior around n = 1.3 was used.",
    Flag.CENTRE_ASTRAY: "The fitted centre lies in the segment of another source.",
    Flag.SKY_ON_BOUND: "The sky of the fit ended on a limit of its measured value: the profile's wings are uncertain.",
    Flag.WITH_DETAIL: "The template contains what the profile leaves in the detection image (models.detail).",
    Flag.BAND_MISFIT: "The template fits the band poorly (its chi2 > 1.35 and 4 sigma); the error contains it.",
    Flag.SHIFT_FAILED: "The shift of the band could not be measured (shift: auto), and 0 was used.",
    Flag.SECOND_DETECTION: "The source was found in the segment of a brighter one (detection.second_pass: auto).",
    Flag.HIDDEN_NEIGHBOUR: "The segment hides another source, see det_hidden.reg (detection.second_pass: propose).",
    Flag.BEYOND_GROWTH_CURVE: (
        "The model has 15 % and 3 sigma more flux than the pixels within twice the segment's radius: wings uncertain."
    ),
    Flag.SATURATED: "More than 1 % of the template's flux falls on pixels at or above the level saturation.",
    Flag.PSF_FROM_AFAR: "The source lies more than 10 arcsec outside the map of the band's PSFs: the nearest is used.",
    Flag.SKY_HELD: (
        "The model was brighter than the pixels within twice the segment's radius: refitted with the sky around it."
    ),
    Flag.LOCAL_OFFSET: "Its light lies beside its model in this band, unlike that of others: a star may have moved.",
    Flag.BAND_ONLY_NEIGHBOUR: (
        "A source that only this band shows adds more than the flux's error; fitted as a point, it is subtracted."
    ),
}


def describe(value: int) -> list[str]:
    """Return the meanings of all flags set in `value`, lowest bit first."""
    return [SENTENCES[flag] for flag in Flag if value & flag]


def names(value: int) -> list[str]:
    """Return the lower-case names of all flags set in `value`, lowest bit first."""
    return [flag.name.lower() for flag in Flag if value & flag and flag.name]


def markdown() -> str:
    """Return the content of docs/flags.md."""
    lines = [
        "# Quality flags",
        "",
        "Bits of the catalogue columns `flag` (detection and fit) and `flag_{band}` (the same, and those of the band); "
        "0 means no flag is set.",
        "",
        "| bit | value | name | meaning |",
        "|---|---|---|---|",
    ]
    for flag, sentence in SENTENCES.items():
        lines.append(f"| {flag.value.bit_length() - 1} | {flag.value} | {names(flag.value)[0]} | {sentence} |")
    return "\n".join(lines) + "\n"
