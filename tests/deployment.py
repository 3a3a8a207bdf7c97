"""A Git repository of the program, and a folder in which `snakedeploy deploy-workflow` has written its Snakefile."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import smallfield
import yaml
from snakemake_forks import run_snakemake

ROOT = Path(__file__).resolve().parents[1]
OWNER = "owner/unblend"
SNAKEFILE = """from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare https://github.com/owner/unblend as a module
module unblend:
    snakefile:
        {source}
    config:
        config


# use all rules from https://github.com/owner/unblend
use rule * from unblend
"""
"""As snakedeploy 0.17 writes it."""


@dataclass(frozen=True)
class Deployment:
    """The folders of a deployment: of the repository, of Snakemake's cache, and that in which a user runs.

    Git is told that github.com lies in the folder of the repository: all else is as it is with the real one.
    """

    root: Path

    @property
    def repository(self) -> Path:
        """The folder of the repository."""
        return self.root / "github" / OWNER

    @property
    def folder(self) -> Path:
        """The folder of the user."""
        return self.root / "field"

    @property
    def unpacked(self) -> list[Path]:
        """The folders of scripts in Snakemake's cache."""
        return sorted(self.root.glob("cache/**/source-cache/unblend/*/scripts"))

    def git(self, *words: str) -> str:
        """Run git in the repository."""
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(self.repository), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def name(self, source: str) -> None:
        """Write the Snakefile of the user, with the workflow from `source`."""
        (self.folder / "workflow").mkdir(exist_ok=True)
        (self.folder / "workflow/Snakefile").write_text(SNAKEFILE.format(source=source))

    def snakemake(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in the folder of the user; return its exit status and what it says as `stdout`."""
        (self.root / "gitconfig").write_text(f'[url "file://{self.root}/github/"]\n\tinsteadOf = https://github.com/\n')
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SNAKEMAKE_", "UNBLEND_"))}
        own = {"GIT_CONFIG_GLOBAL": str(self.root / "gitconfig"), "XDG_CACHE_HOME": str(self.root / "cache")}
        options = ["--cores", "1", *words]
        return subprocess.CompletedProcess(options, *run_snakemake(options, kept | own, self.folder))


def deploy(root: Path) -> Deployment:
    """Make a repository of the program as it is now, with the tag v1, and a folder with the small field."""
    made = Deployment(root)
    made.repository.mkdir(parents=True)
    for name in ("workflow", "scripts", "envs"):
        shutil.copytree(ROOT / name, made.repository / name, ignore=shutil.ignore_patterns("__pycache__"))
    made.git("init", "--quiet", "--initial-branch", "main")
    made.git("add", ".")
    made.git("commit", "--quiet", "--message", "All")
    made.git("tag", "v1")
    smallfield.write(made.folder)
    (made.folder / "config.yaml").unlink()
    (made.folder / "config").mkdir()
    (made.folder / "config/config.yaml").write_text(yaml.safe_dump(smallfield.config(), sort_keys=False))
    return made
