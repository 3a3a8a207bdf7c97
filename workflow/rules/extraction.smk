rule extract_fluxes:
    """Fit all templates, sources that only this band shows and a background at once, with errors for correlated noise."""
    input:
        spec=spec("extract_fluxes", "band"),
        models=BARRIER,
        table=ignore_time(rules.collect_models.output.table),
        catalogue=ignore_time(rules.edit_segments.output.catalogue),
        image=band_image,
        mask=rules.mask_band.output.mask,
        background=rules.subtract_background.output.background,
        psf=rules.prepare_psf.output.psf,
        templates=rules.make_templates.output.templates,
        shift=measured_shift,
    output:
        fluxes=R / "bands/{band}/fluxes.fits",
        weight=R / "bands/{band}/weight.fits",
        residual=R / "bands/{band}/residual.fits",
        own=R / "bands/{band}/band_only.fits",
        own_regions=R / "bands/{band}/band_only.reg",
        own_templates=R / "bands/{band}/band_only.npz",
        parts=R / "bands/{band}/error-parts.npz",
    log:
        R / "logs/extract_fluxes/{band}.log",
    wildcard_constraints:
        band=names_of(WHOLE, TILED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("extract_fluxes"),
        runtime=time_of("extract_fluxes"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py extract_fluxes --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q}"
        " --fluxes {output.fluxes:q} --weight {output.weight:q} --residual {output.residual:q}"


rule run_monte_carlo:
    """Add patches of the residual at every source and fit again, to measure the errors due to the real noise."""
    input:
        spec=spec("run_monte_carlo", "band"),
        models=BARRIER,
        table=ignore_time(rules.collect_models.output.table),
        segments=ignore_time(rules.edit_segments.output.segments),
        image=band_image,
        mask=rules.mask_band.output.mask,
        background=rules.subtract_background.output.background,
        psf=rules.prepare_psf.output.psf,
        templates=rules.make_templates.output.templates,
        fluxes=rules.extract_fluxes.output.fluxes,
        own=rules.extract_fluxes.output.own,
        own_templates=rules.extract_fluxes.output.own_templates,
        weight=rules.extract_fluxes.output.weight,
    output:
        realizations=R / "bands/{band}/monte_carlo.fits",
        regions=R / "bands/{band}/monte_carlo.reg",
    log:
        R / "logs/run_monte_carlo/{band}.log",
    wildcard_constraints:
        band=names_of(WHOLE, TILED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("run_monte_carlo"),
        runtime=time_of("run_monte_carlo"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py run_monte_carlo --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q}"
        " --realizations {output.realizations:q} --regions {output.regions:q}"


rule inspect_band:
    """Write products for inspection: the target without its neighbours, and proposed region files."""
    input:
        spec=spec("inspect_band", "band"),
        models=BARRIER,
        catalogue=ignore_time(rules.edit_segments.output.catalogue),
        stack=ignore_time(rules.detect_sources.output.stack),
        segments=ignore_time(rules.edit_segments.output.segments),
        image=band_image,
        background=rules.subtract_background.output.background,
        psf=rules.prepare_psf.output.psf,
        templates=rules.make_templates.output.templates,
        fluxes=rules.extract_fluxes.output.fluxes,
        own=rules.extract_fluxes.output.own,
        own_templates=rules.extract_fluxes.output.own_templates,
        monte_carlo=rules.run_monte_carlo.output.regions,
    output:
        removed=R / "bands/{band}/neighbours-removed.fits",
        sim=R / "bands/{band}/proposed-sim.reg",
        border=R / "bands/{band}/proposed-border.reg",
        bad=R / "bands/{band}/proposed-bad.reg",
    log:
        R / "logs/inspect_band/{band}.log",
    wildcard_constraints:
        band=names_of(WHOLE, TILED),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("inspect_band"),
        runtime=time_of("inspect_band"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py inspect_band --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --removed {output.removed:q}"
        " --sim {output.sim:q} --border {output.border:q} --bad {output.bad:q}"
