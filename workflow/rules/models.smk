# A job of fits does so many side by side, in processes that share what it has read: each keeps to one thread.
FIT_THREADS = 4

# Behind the checkpoint `group_sources` these files change only together with the keys in the job specs. groups.json is
# not among them: marked ancient, it would hide from Snakemake that its jobs wait for the checkpoint.
FIT_INPUTS = {
    "mask": settled(rules.group_sources.output.mask),
    "stack": settled(rules.detect_sources.output.stack),
    "error": settled(rules.detect_sources.output.error),
    "segments": settled(rules.edit_segments.output.segments),
    "catalogue": settled(rules.edit_segments.output.catalogue),
    "psf": settled(rules.prepare_fit_psf.output.psf),
}


def grouped_spec(rule):
    """Like `spec`, for jobs that exist only once the groups are known."""

    def job_spec(wildcards):
        checkpoints.group_sources.get()
        return written_spec(rule, dict(wildcards.items()))

    return job_spec


def first_passes(wildcards):
    """The first pass of the batch and of the batches that hold its neighbours."""
    checkpoints.group_sources.get()
    needed = JOBS.second_pass_needs(wildcards.batch)
    return expand(R / "imfit/batches/first-{batch}.json", batch=needed)


rule fit_first_pass:
    """Fit the groups of a batch, each on its own; those whose key is unchanged are kept."""
    input:
        **FIT_INPUTS,
        spec=grouped_spec("fit_first_pass"),
    output:
        done=update(R / "imfit/batches/first-{batch}.json"),
    log:
        R / "logs/fit_first_pass/{batch}.log",
    benchmark:
        R / "benchmarks/fit_first_pass/{batch}.tsv"
    conda:
        ENVIRONMENT
    threads: FIT_THREADS
    resources:
        mem_mb=2000,
        runtime=120,
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1"
        " python {SCRIPTS}/fit_first_pass.py --log {log} {input.spec} {R} {output.done} {threads}"


rule fit_second_pass:
    """Fit the groups of a batch again, the first-pass models of their neighbours subtracted, and draw their models."""
    input:
        **FIT_INPUTS,
        spec=grouped_spec("fit_second_pass"),
        first=first_passes,
    output:
        done=update(R / "imfit/batches/second-{batch}.json"),
    log:
        R / "logs/fit_second_pass/{batch}.log",
    benchmark:
        R / "benchmarks/fit_second_pass/{batch}.tsv"
    conda:
        ENVIRONMENT
    threads: FIT_THREADS
    resources:
        mem_mb=2000,
        runtime=120,
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1"
        " python {SCRIPTS}/fit_second_pass.py --log {log} {input.spec} {R} {output.done} {threads}"


checkpoint collect_models:
    """List the models by content, and the parameters of every fit. What comes after is judged anew from here."""
    input:
        spec=grouped_spec("collect_models"),
        models=batch_files("imfit/batches/second-{batch}.json"),
        catalogue=settled(rules.edit_segments.output.catalogue),
        stack=settled(rules.detect_sources.output.stack),
    output:
        models=R / "imfit/models.json",
        table=R / "imfit/sersic.fits",
    log:
        R / "logs/collect_models.log",
    benchmark:
        R / "benchmarks/collect_models.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        "python {SCRIPTS}/collect_models.py --log {log} {input.spec} {R} {output}"


# Every rule behind the models lists this directly: Snakemake then compares contents and forgets that a job ran, when
# the models are collected, and when the groups turn out to be the old ones and nothing is collected at all.
BARRIER = [
    rules.collect_models.output.models,
    settled(rules.group_sources.output.groups),
]


rule subtract_models:
    """Subtract every model from the stack: the residual of the fits."""
    input:
        spec=grouped_spec("subtract_models"),
        models=BARRIER,
        table=settled(rules.collect_models.output.table),
        stack=rules.detect_sources.output.stack,
        error=settled(rules.detect_sources.output.error),
        segments=settled(rules.edit_segments.output.segments),
        mask=settled(rules.group_sources.output.mask),
        psf=settled(rules.prepare_fit_psf.output.psf),
    output:
        residual=R / "imfit/det_stack-sub.fits",
        model=R / "imfit/det_stack-model.fits",
    log:
        R / "logs/subtract_models.log",
    benchmark:
        R / "benchmarks/subtract_models.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "python {SCRIPTS}/subtract_models.py --log {log}"
        " {input.spec} {input.models[0]} {input.stack} {input.error} {input.segments} {input.mask} {input.psf} {R}"
        " {output}"


rule draw_fits:
    """Draw a picture of every fit group, and the sheet of all of them, worst first; unchanged pictures are kept."""
    input:
        spec=spec("draw_fits"),
        models=BARRIER,
        stack=settled(rules.detect_sources.output.stack),
        error=settled(rules.detect_sources.output.error),
        segments=settled(rules.edit_segments.output.segments),
        mask=settled(rules.group_sources.output.mask),
    output:
        sheet=R / "imfit/sheet.html",
    log:
        R / "logs/draw_fits.log",
    benchmark:
        R / "benchmarks/draw_fits.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    shell:
        "python {SCRIPTS}/draw_fits.py --log {log} {input.spec} {R} {output.sheet}"
