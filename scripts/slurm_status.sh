#!/bin/sh
# Print what has become of a job in Slurm, `running`, `success` or `failed`: Snakemake asks for each job in turn.
#
#     sh slurm_status.sh NUMBER
#
# Most answers are `running`, and known from the question for another job: they take 5 ms. For all others, as where the
# job has left its exit status or Slurm's last answer is older than 5 s, it starts Python, and slurm_status.py.
states=$UNBLEND_SLURM/states
if [ ! -e "$UNBLEND_SLURM/$1.exit" ] && read -r asked 2>/dev/null < "$states" \
    && [ $(($(date +%s) - ${asked%%.*})) -lt 5 ] && grep -qxE "$1\|(RUNNING|PENDING)" "$states"; then
    echo running
else
    exec python -IS "$UNBLEND_SCRIPTS"/slurm_status.py "$1"
fi
