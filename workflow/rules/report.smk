rule write_report:
    """One page to look at: the detection image with its segments, every band with model and residual."""
    input:
        spec=spec("write_report"),
        models=BARRIER,
        catalogue=rules.write_catalogue.output.fits,
        table=settled(rules.collect_models.output.table),
        segments=settled(rules.edit_segments.output.segments),
        stack=settled(rules.detect_sources.output.stack),
        left_over=rules.subtract_models.output.residual,
        residual=expand(R / "bands/{band}/residual.fits", band=BANDS),
        mask=expand(R / "bands/{band}/mask.fits", band=BANDS),
        background=expand(R / "bands/{band}/background.fits", band=BANDS),
        shift=expand(R / "bands/{band}/astrometry.json", band=BANDS),
        monte_carlo=expand(R / "bands/{band}/monte_carlo.fits", band=BANDS),
    output:
        page=report(
            R / "report/index.html",
            caption="../report/page.rst",
            category="Report",
        ),
    log:
        R / "logs/write_report.log",
    benchmark:
        R / "benchmarks/write_report.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=20,
    shell:
        "python {SCRIPTS}/write_report.py --log {log} {input.spec} {R} {output.page}"
