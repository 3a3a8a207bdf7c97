if EXAMPLE_IS_MISSING:

    checkpoint make_example_field:
        """Draw the example field; the truth table is written last and stands for all its files."""
        output:
            truth=Path(CONFIG.data_dir) / "truth.fits",
        log:
            R / "logs/make_example_field.log",
        benchmark:
            R / "benchmarks/make_example_field.tsv"
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            folder=CONFIG.data_dir,
            seed=CONFIG.example_seed,
        shell:
            'python "$UNBLEND_SCRIPTS"/make_example_field.py --log {log:q}'
            " --out {params.folder:q} --seed {params.seed:q} --truth {output.truth:q}"
