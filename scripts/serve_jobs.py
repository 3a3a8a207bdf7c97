"""Start the jobs of a run from one process that has loaded their libraries: the job server."""

from unblend.run.job_server import serve


def main() -> None:
    """Serve jobs until Snakemake has ended."""
    serve()


if __name__ == "__main__":
    main()
