def of_tiles(*products):
    """Return an input function: these products of all tiles of a band."""

    def needed(wildcards):
        names = JOBS.bands.measured(wildcards.band)
        return [R / f"bands/{name}/{product}" for name in names for product in products]

    return needed


rule join_masks:
    """Put mask and background of a band together from those of its tiles."""
    input:
        spec=spec("join_masks", "band"),
        tiles=of_tiles("mask.fits", "mask.reg", "background.fits"),
    output:
        mask=R / "bands/{band}/mask.fits",
        regions=R / "bands/{band}/mask.reg",
        background=R / "bands/{band}/background.fits",
    log:
        R / "logs/join_masks/{band}.log",
    wildcard_constraints:
        band=names_of(TILED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("join_masks"),
        runtime=time_of("join_masks"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py join_masks --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q}"


rule join_offsets:
    """Put the offsets of the bright sources of a band together from those of its tiles."""
    input:
        spec=spec("join_offsets", "band"),
        catalogue=ignore_time(rules.edit_segments.output.catalogue),
        tiles=of_tiles("astrometry.json", "shift-sub.fits"),
    output:
        shift=R / "bands/{band}/astrometry.json",
        residual=R / "bands/{band}/shift-sub.fits",
    log:
        R / "logs/join_offsets/{band}.log",
    wildcard_constraints:
        band=names_of(GIVEN),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("join_offsets"),
        runtime=time_of("join_offsets"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py join_offsets --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q}"


rule join_tiles:
    """Put the products of a band together from those of its tiles, with one background level."""
    input:
        spec=spec("join_tiles", "band"),
        models=BARRIER,
        catalogue=ignore_time(rules.edit_segments.output.catalogue),
        tiles=of_tiles(
            "psf.fits", "fluxes.fits", "monte_carlo.fits", "neighbours-removed.fits"
        ),
    output:
        fluxes=R / "bands/{band}/fluxes.fits",
        weight=R / "bands/{band}/weight.fits",
        residual=R / "bands/{band}/residual.fits",
        own=R / "bands/{band}/band_only.fits",
        own_regions=R / "bands/{band}/band_only.reg",
        own_templates=R / "bands/{band}/band_only.npz",
        parts=R / "bands/{band}/error-parts.npz",
        tiles=R / "bands/{band}/tiles.json",
        realizations=R / "bands/{band}/monte_carlo.fits",
        circles=R / "bands/{band}/monte_carlo.reg",
        removed=R / "bands/{band}/neighbours-removed.fits",
        sim=R / "bands/{band}/proposed-sim.reg",
        border=R / "bands/{band}/proposed-border.reg",
        bad=R / "bands/{band}/proposed-bad.reg",
    log:
        R / "logs/join_tiles/{band}.log",
    wildcard_constraints:
        band=names_of(TILED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("join_tiles"),
        runtime=time_of("join_tiles"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py join_tiles --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q}"
