if EXAMPLE_IS_MISSING:

    checkpoint make_example_field:
        """Draw the example field; the truth table is written last and stands for all its files."""
        output:
            truth=Path(CONFIG.data_dir) / "truth.fits",
        log:
            R / "logs/make_example_field.log",
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=memory_of("make_example_field"),
            runtime=time_of("make_example_field"),
        params:
            folder=CONFIG.data_dir,
            seed=CONFIG.example_seed,
        shell:
            'python -IS "$UNBLEND_SCRIPTS"/start_job.py make_example_field --log {log:q}'
            " --out {params.folder:q} --seed {params.seed:q} --truth {output.truth:q}"
