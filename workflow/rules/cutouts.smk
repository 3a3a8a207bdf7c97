def mosaic_file(wildcards):
    """Return the mosaic, or the image of a tile, if it is a local file; Snakemake does not need to know a URL."""
    wait_for_example()
    name = JOBS.bands[wildcards.band].mosaic
    return [] if "://" in name else ancient(split_extension(JOBS.inputs.path(name))[0])


rule cut_mosaic:
    """Cut the field out of a large mosaic (a file or a URL), or a tile out of an image, reading only that part."""
    input:
        spec=spec("cut_mosaic", "band"),
        mosaic=mosaic_file,
    output:
        image=R / "bands/{band}/cutout.fits",
        weight=R / "bands/{band}/cutout-weight.fits",
    log:
        R / "logs/cut_mosaic/{band}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("cut_mosaic"),
        runtime=time_of("cut_mosaic"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py cut_mosaic --log {log:q}'
        " --spec {input.spec:q} --image {output.image:q} --weight {output.weight:q}"
