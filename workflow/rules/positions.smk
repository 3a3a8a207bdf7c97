rule compare_positions:
    """Compare the positions of the sources with those of a table (reference_positions); nothing is moved."""
    input:
        spec=spec("compare_positions"),
        models=BARRIER,
        table=ignore_time(rules.collect_models.output.table),
        stack=ignore_time(rules.detect_sources.output.stack),
    output:
        found=R / "reference_positions.json",
    log:
        R / "logs/compare_positions.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of("compare_positions"),
        runtime=time_of("compare_positions"),
    shell:
        'python -IS "$UNBLEND_SCRIPTS"/start_job.py compare_positions --log {log:q}'
        " --spec {input.spec:q} --table {input.table:q} --stack {input.stack:q} --found {output.found:q}"
