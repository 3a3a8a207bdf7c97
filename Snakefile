# unblend: fluxes of blended galaxies. The workflow is workflow/Snakefile, where Snakemake's catalogue expects it.
include: "workflow/Snakefile"


rule default:
    """All products. Snakemake forgets the default target of an included file, so that this one names its own."""
    default_target: True
    input:
        rules.all.input,
