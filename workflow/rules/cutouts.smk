def mosaic_file(wildcards):
    """The mosaic where it is a file of this machine; a URL is not Snakemake's business."""
    name = CONFIG.bands[wildcards.band].mosaic
    return [] if "://" in name else ancient(JOBS.inputs.path(name).split("[")[0])


rule cut_mosaic:
    """Cut the field out of a large mosaic, read lazily from a file or a URL; its WCS is kept."""
    input:
        spec=spec("cut_mosaic", "band"),
        mosaic=mosaic_file,
    output:
        image=R / "bands/{band}/cutout.fits",
        weight=R / "bands/{band}/cutout-weight.fits",
    log:
        R / "logs/cut_mosaic/{band}.log",
    benchmark:
        R / "benchmarks/cut_mosaic/{band}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "python {SCRIPTS:q}/cut_mosaic.py --log {log:q}"
        " --spec {input.spec:q} --image {output.image:q} --weight {output.weight:q}"
