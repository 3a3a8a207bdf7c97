rule write_catalogue:
    """Combine the bands: fluxes, adopted errors, flags, magnitudes, and the tables for SED codes."""
    input:
        spec=spec("write_catalogue"),
        models=BARRIER,
        table=ignore_time(rules.collect_models.output.table),
        catalogue=ignore_time(rules.edit_segments.output.catalogue),
        fluxes=expand(R / "bands/{band}/fluxes.fits", band=BANDS),
        monte_carlo=expand(R / "bands/{band}/monte_carlo.fits", band=BANDS),
        offsets=expand(R / "bands/{band}/astrometry.json", band=BANDS),
    output:
        fits=report(
            R / "catalogue.fits",
            caption="../report/catalogue.rst",
            category="Catalogue",
            labels={"table": "catalogue", "format": "FITS"},
        ),
        ecsv=report(
            R / "catalogue.ecsv",
            caption="../report/catalogue.rst",
            category="Catalogue",
            labels={"table": "catalogue", "format": "ECSV"},
        ),
        votable=report(
            R / "catalogue.vot",
            caption="../report/catalogue.rst",
            category="Catalogue",
            labels={"table": "catalogue", "format": "VOTable"},
        ),
        fast=report(
            R / "catalogue.fast.cat",
            caption="../report/sed.rst",
            category="Catalogue",
            labels={"table": "fluxes for SED codes", "format": "FAST"},
        ),
        eazy=report(
            R / "catalogue.eazy.cat",
            caption="../report/sed.rst",
            category="Catalogue",
            labels={"table": "fluxes for SED codes", "format": "EAZY"},
        ),
        sed=R / "catalogue.sed.json",
        others=multiext(
            str(R / "catalogue"),
            ".fast.translate",
            ".eazy.translate",
            ".lephare.cat",
            ".lephare.para",
            ".cigale.txt",
        ),
    log:
        R / "logs/write_catalogue.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("write_catalogue"),
        runtime=time_of("write_catalogue"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py write_catalogue --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q}"
        " --fits {output.fits:q} --ecsv {output.ecsv:q} --votable {output.votable:q} --fast {output.fast:q} --eazy {output.eazy:q}"
        " --sed {output.sed:q}"


rule write_covariance:
    """Write the covariance of the fluxes of each band, and draws of the fluxes of all bands with what they share."""
    input:
        spec=spec("write_covariance"),
        models=BARRIER,
        catalogue=rules.write_catalogue.output.fits,
        parts=expand(R / "bands/{band}/error-parts.npz", band=BANDS),
    output:
        draws=R / "flux_draws.fits",
        covariance=expand(
            R / "bands/{band}/covariance.{ending}", band=BANDS, ending=["npz", "fits"]
        ),
    log:
        R / "logs/write_covariance.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("write_covariance"),
        runtime=time_of("write_covariance"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py write_covariance --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --draws {output.draws:q}"
