def detection_images(wildcards):
    """Return the images of the detection bands."""
    return [
        band_image(type(wildcards)(fromdict={"band": name}))
        for name in CONFIG.detection.bands
    ]


def detection_weights(wildcards):
    """Return the weight maps of the detection bands that have one."""
    bands = [CONFIG.bands[name] for name in CONFIG.detection.bands]
    return [
        band_weight(type(wildcards)(fromdict={"band": band.name}))
        for band in bands
        if band.weight
    ]


def flux_image(wildcards):
    """Return the image of the band in which the detection fluxes are measured."""
    return band_image(type(wildcards)(fromdict={"band": CONFIG.detection.flux_band}))


def flux_weight(wildcards):
    """Return the weight map of the band in which the detection fluxes are measured."""
    return band_weight(type(wildcards)(fromdict={"band": CONFIG.detection.flux_band}))


def fit_psf_images(wildcards):
    """Return image and weight map of the band from whose stars the PSF of the fits is built, otherwise nothing."""
    band = CONFIG.models.psf
    if band not in CONFIG.bands or not CONFIG.bands[band].has_star_psf:
        return []
    own = type(wildcards)(fromdict={"band": band})
    weights = [band_weight(own)] if CONFIG.bands[band].weight else []
    return [band_image(own), *weights]


def own_detection(wildcards):
    """Return the segmentation map and the catalogue of the user, whose times Snakemake must ignore."""
    wait_for_example()
    files = [record["file"] for record in JOBS.inputs.own_detection().values()]
    return [ancient(split_extension(name)[0]) for name in files]


rule detect_sources:
    """Stack the detection images; detect and de-blend the sources automatically, or measure those of the user."""
    input:
        spec=spec("detect_sources"),
        images=detection_images,
        weights=detection_weights,
        own=own_detection,
    output:
        stack=R / "det_stack.fits",
        error=R / "det_error.fits",
        background=R / "det_background.fits",
        snr=R / "det_snr.fits",
        segments=R / "det_auto_seg.fits",
        catalogue=R / "det_auto_cat.fits",
        hidden=R / "det_hidden.reg",
    log:
        R / "logs/detect_sources.log",
    conda:
        ENVIRONMENT
    threads: processes_of_detection
    resources:
        mem_mb=memory_of("detect_sources"),
        runtime=time_of("detect_sources"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py detect_sources --log {log:q}'
        " --spec {input.spec:q} --stack {output.stack:q} --error {output.error:q}"
        " --background {output.background:q}"
        " --snr {output.snr:q} --segments {output.segments:q} --catalogue {output.catalogue:q}"
        " --hidden {output.hidden:q} --workers {threads}"


rule edit_segments:
    """Merge segments and add sources according to the regions drawn by the user."""
    input:
        spec=spec("edit_segments"),
        segments=rules.detect_sources.output.segments,
        catalogue=rules.detect_sources.output.catalogue,
        background=rules.detect_sources.output.background,
        flux_image=flux_image,
        flux_weight=flux_weight,
    output:
        segments=R / "det_seg.fits",
        catalogue=R / "det_cat.fits",
        regions=R / "det_cat.reg",
    log:
        R / "logs/edit_segments.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("edit_segments"),
        runtime=time_of("edit_segments"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py edit_segments --log {log:q} --spec {input.spec:q}'
        " --automatic-segments {input.segments:q} --automatic-catalogue {input.catalogue:q}"
        " --segments {output.segments:q} --catalogue {output.catalogue:q} --regions {output.regions:q}"


rule prepare_fit_psf:
    """Normalise, centre and crop the PSF of the stack; divide out the pixel response, which IMFIT includes itself."""
    input:
        spec=spec("prepare_fit_psf"),
        image=flux_image,
        stars=fit_psf_images,
    output:
        psf=R / "imfit/psf.fits",
    log:
        R / "logs/prepare_fit_psf.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("prepare_fit_psf"),
        runtime=time_of("prepare_fit_psf"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py prepare_fit_psf --log {log:q}'
        " --spec {input.spec:q} --psf {output.psf:q}"


checkpoint group_sources:
    """Decide which sources are fitted together, and which pixels each fit depends on."""
    input:
        spec=spec("group_sources"),
        stack=rules.detect_sources.output.stack,
        error=rules.detect_sources.output.error,
        segments=rules.edit_segments.output.segments,
        automatic_segments=rules.detect_sources.output.segments,
        catalogue=rules.edit_segments.output.catalogue,
        psf=rules.prepare_fit_psf.output.psf,
    output:
        groups=R / "imfit/groups.json",
        mask=R / "imfit/mask.fits",
        regions=R / "imfit/groups.reg",
    log:
        R / "logs/group_sources.log",
    conda:
        ENVIRONMENT
    threads: processes_of_detection
    resources:
        mem_mb=memory_of("group_sources"),
        runtime=time_of("group_sources"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py group_sources --log {log:q}'
        " --spec {input.spec:q} --stack {input.stack:q} --error {input.error:q}"
        " --segments {input.segments:q} --automatic-segments {input.automatic_segments:q}"
        " --catalogue {input.catalogue:q} --psf {input.psf:q}"
        " --groups {output.groups:q} --mask {output.mask:q} --regions {output.regions:q} --workers {threads}"
