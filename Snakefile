# unblend: fluxes of blended galaxies. The workflow is workflow/Snakefile, where Snakemake's catalogue expects it.
include: "workflow/Snakefile"


report: "workflow/report/workflow.rst"


include: "workflow/rules/library.smk"


# A configuration given on the command line replaces that of the example; the two are never merged. Snakemake has read
# it by now, but config.yaml is checked before it is read.
if workflow.overwrite_configfiles:
    checked(*workflow.overwrite_configfiles)
else:

    configfile: checked("config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/progress.smk"
include: "workflow/rules/slurm.smk"
include: "workflow/rules/example.smk"
include: "workflow/rules/cutouts.smk"
include: "workflow/rules/detection.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/bands.smk"
include: "workflow/rules/extraction.smk"
include: "workflow/rules/catalogue.smk"
include: "workflow/rules/positions.smk"
include: "workflow/rules/report.smk"


rule all:
    """The catalogue, the report, and the products that a user may delete to have them made again."""
    default_target: True
    input:
        R / "catalogue.fits",
        R / "flux_draws.fits",
        R / "report/index.html",
        R / "imfit/det_stack-sub.fits",
        R / "imfit/sheet.html",
        expand(R / "bands/{band}/neighbours-removed.fits", band=BANDS),
        expand(R / "bands/{band}/astrometry.json", band=BANDS),
        expand(
            R / "bands/{band}/proposed-{kind}.reg",
            band=BANDS,
            kind=["sim", "border", "bad"],
        ),
        BARRIER,
# Snakemake forgets the default target of an included file. In a module the target is that of the other workflow.
if workflow.modifier.parent_modifier is None:
    workflow.default_target = "all"
