# unblend: fluxes of blended galaxies. The workflow is workflow/Snakefile, where Snakemake's catalogue expects it.
include: "workflow/Snakefile"


# Snakemake forgets the default target of an included file. In a module the target is that of the other workflow.
if workflow.modifier.parent_modifier is None:
    workflow.default_target = "all"
