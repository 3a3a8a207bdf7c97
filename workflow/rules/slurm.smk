"""Slurm: jobs bear the names of their rules, and a run says why Slurm ended one.

Snakemake's plugin for Slurm names all jobs of a run alike, because it asks for their states by that name, and where
Slurm keeps no accounts it does not say why a job failed. Only the process that submits the jobs needs this.
"""

import snakemake_executor_plugin_slurm as slurm_plugin

from unblend.run import slurm

LONGEST_WAIT_S = 30
"""Seconds between two looks at the jobs at most; the plugin's own limit is three minutes."""
WAIT_GROWTH = 1.5
"""By how much the time between looks grows while no job ends; with the plugin's 10 s a short job costs 20 s."""


def members_of(job):
    """Return the jobs that are submitted together, or the one job."""
    return list(job.jobs) if job.is_group() else [job]


def with_own_name(submit):
    """Return the function that makes the command `sbatch`, with the name of the rule or group for the job."""

    def command(job, params, **options):
        members = members_of(job)
        label = members[0].group if len(members) > 1 else members[0].rule.name
        name = slurm.job_name(label, [member.wildcards_dict for member in members])
        return submit(job, {**params, "run_uuid": name}, **options)

    return command


def with_reason(original):
    """Return the method that reports a failed job: it says why, and a job that would fail again is not repeated."""

    def report_job_error(executor, job_info, msg=None, **options):
        job = job_info.job
        repeated = WATCH.job_lost(
            [workflow.dag.jobid(member) for member in members_of(job)],
            msg or "",
            slurm_log=(job_info.aux or {}).get("slurm_logfile"),
            memory_mb=job.resources.get("mem_mb", 0),
            minutes=job.resources.get("runtime", 0),
            is_last=job.attempt > job.restart_times,
        )
        if not repeated:
            # the public attribute would also change the memory that the scheduler is about to give back
            job._attempt = job.restart_times + 1
        original(executor, job_info, msg=msg, **options)

    return report_job_error


def with_default_account(original):
    """Return the method that names the account of a job: none where the user names none, and Slurm has a default.

    The plugin guesses one with a command that fails everywhere (a pipe that no shell reads).
    """

    def account(executor, job):
        if job.resources.get("slurm_account"):
            yield from original(executor, job)
        else:
            yield ""

    return account


def without_steps(executor):
    """Return what the Snakemake that runs in a job gets beside its jobs: nothing, so that it runs them itself.

    The plugin would have it start each of its jobs as a step (`srun`) with one more Snakemake, 2 s of processor time.
    """
    return ""


def is_answering(tool):
    """Return whether a command of Slurm works: without accounts `sacct` exists and fails."""
    return slurm.has_accounts() if tool == "sacct" else True


def set_wait(executor, seconds):
    """Set the time until the next look at the jobs."""
    before = executor._next_seconds_between_status_checks or seconds
    executor._next_seconds_between_status_checks = min(
        seconds, WAIT_GROWTH * before, LONGEST_WAIT_S
    )


if workflow.is_main_process:
    slurm_plugin.get_submit_command = with_own_name(slurm_plugin.get_submit_command)
    slurm_plugin.query_job_status_squeue = slurm.squeue_command
    slurm_plugin.query_job_status_sacct = slurm.sacct_command
    slurm_plugin.is_query_tool_available = is_answering
    slurm_plugin.Executor.additional_general_args = without_steps
    slurm_plugin.Executor.get_account_arg = with_default_account(
        slurm_plugin.Executor.get_account_arg
    )
    slurm_plugin.Executor.report_job_error = with_reason(
        slurm_plugin.Executor.report_job_error
    )
    slurm_plugin.Executor.next_seconds_between_status_checks = (
        slurm_plugin.Executor.next_seconds_between_status_checks.setter(set_wait)
    )
