"""The plan of the real workflow: every configuration, both profiles, and what every rule must have."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration"))

import smallfield  # noqa: E402
from snakemake_forks import run_snakemake  # noqa: E402

pytestmark = pytest.mark.rules

CONFIGS = sorted((ROOT / "tests/configs").glob("*.yaml"))
EXPLAINED = {
    "Mixed rules and functions in same snakefile",
    "Param results is a prefix of input or output file but hardcoded",
}
"""What `snakemake --lint` says and docs/lint.md answers."""


def plan(folder: Path, *options: str) -> str:
    """Return what Snakemake would do in `folder`."""
    kept = {key: value for key, value in os.environ.items() if key != "SNAKEMAKE_PROFILE"}
    place = ["-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    status, messages = run_snakemake([*place, *options], kept)
    assert status == 0, messages[-4000:]
    return messages


def jobs(messages: str) -> dict[str, int]:
    """Return the number of planned jobs of each rule."""
    table = messages.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images of the small field."""
    folder = tmp_path_factory.mktemp("field")
    smallfield.write(folder)
    return folder


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_has_a_plan(config: Path, images: Path, tmp_path: Path) -> None:
    content = yaml.safe_load(config.read_text())
    data = (ROOT / content["data_dir"]).resolve() if "data_dir" in content else images
    if not data.exists():
        pytest.skip(f"{data} is not on this machine")
    planned = jobs(plan(tmp_path, "--configfile", str(config), "-n", "--cores", "2", "--config", f"data_dir={data}"))
    bands = content["bands"]
    assert planned["mask_band"] == planned["extract_fluxes"] == planned["run_monte_carlo"] == len(bands)
    assert planned.get("cut_mosaic", 0) == sum("mosaic" in band for band in bands.values())
    assert planned["write_catalogue"] == planned["write_report"] == planned["detect_sources"] == 1


def test_the_example_has_a_plan_and_a_plan_does_not_draw_it(tmp_path: Path) -> None:
    options = ["--configfile", str(ROOT / "config.yaml"), "-n", "--cores", "2", "--config"]
    planned = jobs(plan(tmp_path, *options, f"data_dir={tmp_path / 'example'}"))
    assert planned["make_example_field"] == 1 and planned["write_report"] == 1
    assert not (tmp_path / "example").exists() and not (tmp_path / "results").exists()
    if (ROOT / "example/truth.fits").exists():
        planned = jobs(plan(tmp_path, *options, f"data_dir={ROOT / 'example'}"))
        assert planned["mask_band"] == len(yaml.safe_load((ROOT / "config.yaml").read_text())["bands"])
        assert "make_example_field" not in planned


def test_a_product_asked_for_by_its_name_has_a_plan(images: Path, tmp_path: Path) -> None:
    """In a new folder, too: Snakemake lists the folders of its targets before the job specs are written."""
    config = ROOT / "tests/configs/smallest.yaml"
    options = ["results/det_cat.fits", "--configfile", str(config), "-n", "--cores", "2", "--config"]
    planned = jobs(plan(tmp_path, *options, f"data_dir={images}"))
    assert planned == {"detect_sources": 1, "edit_segments": 1}


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_without_a_target_all_products_are_made(snakefile: str, images: Path, tmp_path: Path) -> None:
    """By either file, also as the module of a workflow that has no default target of its own."""
    module = f'module unblend:\n    snakefile: "{ROOT / snakefile}"\n    config: config\n\n'
    uses = "use rule * from unblend as unblend_*\n"
    (tmp_path / "module.smk").write_text(f'configfile: "config.yaml"\n\n{module}{uses}')
    for path, prefix in [(ROOT / snakefile, ""), (tmp_path / "module.smk", "unblend_")]:
        planned = jobs(plan(images, "-s", str(path), "-n", "--cores", "2"))
        assert planned[f"{prefix}write_report"] == planned[f"{prefix}draw_fits"] == 1
        assert planned[f"{prefix}inspect_band"] == 2


def test_a_workflow_without_its_scripts_says_what_it_needs(tmp_path: Path) -> None:
    """Such as a module from a plain URL."""
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    options = ["-s", str(tmp_path / "workflow/Snakefile"), "-n", "--cores", "1"]
    status, messages = run_snakemake(options, os.environ, tmp_path)
    assert status == 1 and "there is no folder of scripts, which jobs run, beside this part of the workflow" in messages


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_either_profile_has_a_plan(profile: str, images: Path, tmp_path: Path) -> None:
    config = ROOT / "tests/configs/smallest.yaml"
    options = ["--profile", str(ROOT / "workflow/profiles" / profile), "--configfile", str(config), "-n"]
    cores = ["--cores", "2"] if profile == "default" else []
    assert jobs(plan(tmp_path, *options, *cores, "--config", f"data_dir={images}"))["mask_band"] == 1


def test_the_linter_says_nothing_that_the_documentation_does_not_answer(images: Path) -> None:
    place = ["-s", str(ROOT / "Snakefile"), "--directory", str(images), "--configfile", str(images / "config.yaml")]
    _, said = run_snakemake([*place, "--lint"], os.environ)
    found = {
        re.sub(r"\s+in line \d+", "", line).strip() for line in re.findall(r"^    \* (.*?)\.?:$", said, re.MULTILINE)
    }
    assert found == EXPLAINED
    answered = (ROOT / "docs/lint.md").read_text()
    assert all(sentence in answered for sentence in EXPLAINED)


def rules() -> list[tuple[str, str]]:
    """Return name and text of every rule and checkpoint but `all`."""
    found = []
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        text = path.read_text()
        heads = list(re.finditer(r"^ *(?:rule|checkpoint) (\w+):\n", text, re.MULTILINE))
        ends = [head.start() for head in heads[1:]] + [len(text)]
        found += [(head[1], text[head.end() : end]) for head, end in zip(heads, ends, strict=False)]
    return found


def section(text: str, name: str) -> list[str]:
    """Return the entries of a section of a rule: the lines at its first level."""
    match = re.search(rf"^( +){name}:\n((?:\1 {{4}}.*\n)+)", text, re.MULTILINE)
    assert match, f"lacks {name}"
    level = len(match[1]) + 4
    return [line.strip() for line in match[2].splitlines() if line[level] != " "]


@pytest.mark.parametrize(("name", "text"), rules(), ids=[name for name, _ in rules()])
def test_every_rule_is_complete(name: str, text: str) -> None:
    assert text.lstrip().startswith('"""'), "a rule says what it does"
    for name_of in ("output",) if name == "make_example_field" else ("input", "output"):
        unnamed = [entry for entry in section(text, name_of) if not re.match(r"\w+=|\*\*|\),?$", entry)]
        assert not unnamed, f"{name_of}: {unnamed}"
    # Snakemake restores such an output when its job fails, with a new time: the next run takes it for up to date
    assert "update(" not in text
    # such a job forks as many workers; all others are for one core
    several = {"detect_sources": "processes_of_detection", "group_sources": "processes_of_detection"}
    threads = "PROCESSES" if name.startswith("fit_") else several.get(name, 1)
    assert f"threads: {threads}\n" in text and ("--workers {threads}" in text) == (threads != 1)
    assert section(text, "conda") == ["ENVIRONMENT"]
    assert {entry.split("=")[0] for entry in section(text, "resources")} == {"mem_mb", "runtime"}
    # the job writes its benchmark file to the same place in the folder benchmarks
    assert f"logs/{name}" in section(text, "log")[0], "the log bears the rule's name"
    command = " ".join(section(text, "shell"))
    assert f'python -IS "$UNBLEND_SCRIPTS"/start_job.py {name} --log {{log:q}}' in command
    # a space or a quote in a folder's name must not break a command, nor run another
    unquoted = set(re.findall(r"\{[^{}]*\}", command)) - {"{threads}"}
    assert all(field.endswith(":q}") for field in unquoted), f"not quoted: {unquoted}"
    assert (ROOT / f"scripts/{name}.py").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("__use_yte__: true\nx: ?open('run', 'w').close()\n", "__use_yte__ is not allowed"),
        ("a: &a {x: 1, y: 2}\n" + "".join(f"{c}: &{c} {{k: *{p}, l: *{p}, m: *{p}, n: *{p}}}\n"
         for p, c in itertools.pairwise("abcdefghijklmnopqrstuvwxyz")), "stand for more than 100000 values"),
        ("w: {file: x.fits[ERR]}\n", "line 1: `w: {file: x.fits[ERR]}` is not valid YAML"),
        ("data_dir: caf\xe9\n", "line 1: the byte 0xe9 is not UTF-8"),
    ],
    ids=["template", "aliases", "brackets", "encoding"],
)  # fmt: skip
def test_the_text_is_checked_before_snakemake_reads_it(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text, encoding="latin-1")
    place = ["-s", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    status, messages = run_snakemake([*place, "-n"], os.environ)
    assert status == 1 and sentence in messages and "Traceback" not in messages
    assert not (tmp_path / "run").exists()
