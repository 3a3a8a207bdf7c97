#!/usr/bin/env bash
# Snakemake runs this in a new conda environment: IMFIT on one thread (scripts/unblend/fits/imfit_loader.py).
set -euo pipefail
"$CONDA_PREFIX/bin/python" "$UNBLEND_SCRIPTS/build_one_core.py"
