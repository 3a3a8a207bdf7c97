def band_picture(band):
    """Return the picture of a band for Snakemake's own report: a separate output, so that it has its own name there."""
    labels = {"band": band, "shows": "image, model, residual"}
    caption = "../report/band.rst"
    return report(
        R / f"report/{band}.png", caption=caption, category="Bands", labels=labels
    )


rule write_report:
    """Write the report: the field, every source with its stamps, every band, the fits, the run times.

    It is a single page; of a large field it has its pixels and numbers in a folder beside it, which is empty otherwise.
    """
    input:
        spec=spec("write_report"),
        models=BARRIER,
        catalogue=rules.write_catalogue.output.fits,
        table=ignore_time(rules.collect_models.output.table),
        detected=ignore_time(rules.edit_segments.output.catalogue),
        segments=ignore_time(rules.edit_segments.output.segments),
        stack=ignore_time(rules.detect_sources.output.stack),
        stack_residual=rules.subtract_models.output.residual,
        residual=expand(R / "bands/{band}/residual.fits", band=BANDS),
        removed=expand(R / "bands/{band}/neighbours-removed.fits", band=BANDS),
        own=expand(R / "bands/{band}/band_only.fits", band=BANDS),
        templates=[R / f"bands/{name}/templates.npz" for name in MEASURED],
        background=expand(R / "bands/{band}/background.fits", band=BANDS),
        shift=expand(R / "bands/{band}/astrometry.json", band=BANDS),
        monte_carlo=expand(R / "bands/{band}/monte_carlo.fits", band=BANDS),
        positions=rules.compare_positions.output if CONFIG.reference_positions else [],
    output:
        page=report(
            R / "report/index.html",
            caption="../report/page.rst",
            category="Page",
            labels={"shows": "the whole field"},
        ),
        files=directory(R / "report/index_files"),
        bands=[band_picture(band) for band in BANDS],
        provenance=R / "provenance.json",
    log:
        R / "logs/write_report.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("write_report"),
        runtime=time_of("write_report"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py write_report --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --page {output.page:q}"
        " --provenance {output.provenance:q}"
