# After the checkpoint `group_sources` these files change only together with the keys in the job specs. groups.json is
# not one of them: if it were marked ancient, Snakemake would not see that the jobs wait for the checkpoint.
FIT_INPUTS = {
    "mask": ignore_time(rules.group_sources.output.mask),
    "stack": ignore_time(rules.detect_sources.output.stack),
    "error": ignore_time(rules.detect_sources.output.error),
    "segments": ignore_time(rules.edit_segments.output.segments),
    "catalogue": ignore_time(rules.edit_segments.output.catalogue),
    "psf": ignore_time(rules.prepare_fit_psf.output.psf),
}


def grouped_spec(rule):
    """Return an input function like `spec`, for jobs that exist only once the groups are known."""

    def job_spec(wildcards):
        checkpoints.group_sources.get()
        return spec_path(rule, dict(wildcards.items()))

    return job_spec


def first_passes(wildcards):
    """Return the first pass of the batch and of the batches that contain its neighbours."""
    checkpoints.group_sources.get()
    needed = JOBS.fits.neighbouring_batches(wildcards.batch)
    return expand(R / "imfit/batches/first-{batch}.json", batch=needed)


rule fit_first_pass:
    """Fit the groups of a batch, each on its own; fits whose key is unchanged are kept."""
    input:
        **FIT_INPUTS,
        spec=grouped_spec("fit_first_pass"),
    output:
        done=R / "imfit/batches/first-{batch}.json",
    log:
        R / "logs/fit_first_pass/{batch}.log",
    conda:
        ENVIRONMENT
    threads: PROCESSES
    resources:
        mem_mb=memory_of("fit_first_pass"),
        runtime=time_of("fit_first_pass"),
    params:
        results=str(R),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1"
        ' python -IS "$UNBLEND_SCRIPTS"/start_job.py fit_first_pass --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --done {output.done:q} --workers {threads}"


rule fit_second_pass:
    """Fit the groups of a batch again with the first-pass models of their neighbours subtracted; draw their models."""
    input:
        **FIT_INPUTS,
        spec=grouped_spec("fit_second_pass"),
        first=first_passes,
    output:
        done=R / "imfit/batches/second-{batch}.json",
    log:
        R / "logs/fit_second_pass/{batch}.log",
    conda:
        ENVIRONMENT
    threads: PROCESSES
    resources:
        mem_mb=memory_of("fit_second_pass"),
        runtime=time_of("fit_second_pass"),
    params:
        results=str(R),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1"
        ' python -IS "$UNBLEND_SCRIPTS"/start_job.py fit_second_pass --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --done {output.done:q} --workers {threads}"


checkpoint collect_models:
    """List the models by content and the parameters of every fit; Snakemake re-evaluates all later stages here."""
    input:
        spec=grouped_spec("collect_models"),
        models=batch_files("imfit/batches/second-{batch}.json"),
        catalogue=ignore_time(rules.edit_segments.output.catalogue),
        stack=ignore_time(rules.detect_sources.output.stack),
    output:
        models=R / "imfit/models.json",
        table=R / "imfit/sersic.fits",
    log:
        R / "logs/collect_models.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("collect_models"),
        runtime=time_of("collect_models"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py collect_models --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --models {output.models:q} --table {output.table:q}"


# Every rule after the models has this as a direct input, so that Snakemake compares contents and not whether a job ran:
# both if the models are collected, and if the groups have not changed and nothing is collected at all.
BARRIER = [
    rules.collect_models.output.models,
    ignore_time(rules.group_sources.output.groups),
]


rule subtract_models:
    """Subtract every model from the stack: the residual of the fits."""
    input:
        spec=grouped_spec("subtract_models"),
        models=BARRIER,
        table=ignore_time(rules.collect_models.output.table),
        stack=rules.detect_sources.output.stack,
        error=ignore_time(rules.detect_sources.output.error),
        mask=ignore_time(rules.group_sources.output.mask),
        segments=ignore_time(rules.edit_segments.output.segments),
        psf=ignore_time(rules.prepare_fit_psf.output.psf),
    output:
        residual=R / "imfit/det_stack-sub.fits",
        model=R / "imfit/det_stack-model.fits",
    log:
        R / "logs/subtract_models.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("subtract_models"),
        runtime=time_of("subtract_models"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py subtract_models --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --residual {output.residual:q} --model {output.model:q}"


rule draw_fits:
    """Draw a picture of every fit group and the sheet of all pictures, worst fit first; unchanged pictures are kept."""
    input:
        spec=spec("draw_fits"),
        models=BARRIER,
        stack=ignore_time(rules.detect_sources.output.stack),
        error=ignore_time(rules.detect_sources.output.error),
        segments=ignore_time(rules.edit_segments.output.segments),
        mask=ignore_time(rules.group_sources.output.mask),
    output:
        sheet=R / "imfit/sheet.html",
    log:
        R / "logs/draw_fits.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("draw_fits"),
        runtime=time_of("draw_fits"),
    params:
        results=str(R),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py draw_fits --log {log:q}'
        " --spec {input.spec:q} --results {params.results:q} --sheet {output.sheet:q}"
