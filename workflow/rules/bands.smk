def for_background(product):
    """Return an input function: `product` for a band with a moving background, nothing for a band without."""

    def needed(wildcards):
        return product if JOBS.bands[wildcards.band].moving_background else []

    return needed


def star_psf_weight(wildcards):
    """Return the weight map of a band whose PSF is built from its stars, otherwise nothing."""
    from_stars = JOBS.bands[wildcards.band].has_star_psf and not psf_of_band(wildcards)
    return band_weight(wildcards) if from_stars else []


def measured_shift(wildcards):
    """Return the result of the search for the shift if it is not given, otherwise nothing."""
    band = JOBS.bands[wildcards.band]
    return (
        R / f"bands/{whole_name(wildcards)}/astrometry.json"
        if band.is_shift_measured
        else []
    )


def whole_name(wildcards):
    """Return the name of the band of which this is a tile, or of the band itself."""
    return wildcards.band.partition("/tiles/")[0]


def psf_of_band(wildcards):
    """Return the PSF of the band of which this is a tile, otherwise nothing."""
    whole = whole_name(wildcards)
    return R / f"bands/{whole}/psf.fits" if whole != wildcards.band else []


def given_shift(product):
    """Return an input function: `product` for a band with a given shift, nothing if the shift is yet to be found."""

    def needed(wildcards):
        band = JOBS.bands[wildcards.band]
        return [] if band.is_shift_measured else R / f"bands/{band.name}/{product}"

    return needed


rule mask_band:
    """Mask border and bad regions, and pixels that are not finite or have no weight."""
    input:
        spec=spec("mask_band", "band"),
        image=band_image,
    output:
        mask=R / "bands/{band}/mask.fits",
        regions=R / "bands/{band}/mask.reg",
    log:
        R / "logs/mask_band/{band}.log",
    wildcard_constraints:
        band=names_of(WHOLE, TILED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("mask_band"),
        runtime=time_of("mask_band"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py mask_band --log {log:q}'
        " --spec {input.spec:q} --mask {output.mask:q} --regions {output.regions:q}"


rule prepare_psf:
    """Normalise and centre a band's PSF; build it from the stars of the image where no PSF is given."""
    input:
        spec=spec("prepare_psf", "band"),
        image=band_image,
        weight=star_psf_weight,
        whole=psf_of_band,
    output:
        psf=R / "bands/{band}/psf.fits",
        stars=R / "bands/{band}/psf_stars.fits",
    log:
        R / "logs/prepare_psf/{band}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("prepare_psf"),
        runtime=time_of("prepare_psf"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py prepare_psf --log {log:q}'
        " --spec {input.spec:q} --psf {output.psf:q} --stars {output.stars:q} --whole {input.whole:q}"


rule subtract_background:
    """Measure the moving background with sources masked; without that option the background is zero."""
    input:
        spec=spec("subtract_background", "band"),
        image=band_image,
        mask=for_background(rules.mask_band.output.mask),
        psf=for_background(rules.prepare_psf.output.psf),
        segments=for_background(rules.edit_segments.output.segments),
    output:
        background=R / "bands/{band}/background.fits",
    log:
        R / "logs/subtract_background/{band}.log",
    wildcard_constraints:
        band=names_of(WHOLE, TILED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("subtract_background"),
        runtime=time_of("subtract_background"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py subtract_background --log {log:q}'
        " --spec {input.spec:q} --background {output.background:q}"
        " --mask {input.mask:q} --psf {input.psf:q} --segments {input.segments:q}"


rule measure_shift:
    """Measure the offsets of the bright sources of a band and, if requested, find its shift by a grid search."""
    input:
        spec=spec("measure_shift", "band"),
        models=BARRIER,
        table=ignore_time(rules.collect_models.output.table),
        catalogue=ignore_time(rules.edit_segments.output.catalogue),
        image=band_image,
        mask=rules.mask_band.output.mask,
        background=rules.subtract_background.output.background,
        psf=rules.prepare_psf.output.psf,
        templates=given_shift("templates.npz"),
        weight=given_shift("weight.fits"),
        own=given_shift("band_only.fits"),
        own_templates=given_shift("band_only.npz"),
    output:
        shift=R / "bands/{band}/astrometry.json",
        residual=R / "bands/{band}/shift-sub.fits",
    log:
        R / "logs/measure_shift/{band}.log",
    wildcard_constraints:
        band=names_of([*WHOLE, *SEARCHED], GIVEN),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("measure_shift"),
        runtime=time_of("measure_shift"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py measure_shift --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q}"
        " --shift {output.shift:q} --residual {output.residual:q}"


rule make_templates:
    """Convolve every model with the PSF of the band, on the pixels of the band; unchanged templates are kept."""
    input:
        spec=spec("make_templates", "band"),
        models=BARRIER,
        catalogue=ignore_time(rules.edit_segments.output.catalogue),
        image=band_image,
        psf=rules.prepare_psf.output.psf,
        shift=measured_shift,
    output:
        templates=R / "bands/{band}/templates.npz",
    log:
        R / "logs/make_templates/{band}.log",
    wildcard_constraints:
        band=names_of(WHOLE, TILED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("make_templates"),
        runtime=time_of("make_templates"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py make_templates --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --templates {output.templates:q}"
