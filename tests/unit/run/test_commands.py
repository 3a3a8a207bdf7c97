from __future__ import annotations

import pytest
import yaml
from small_config import MINIMAL
from unblend.core.errors import ConfigError, InputError
from unblend.run.commands import field_parser, read_field_config


def field(tmp_path, text, *arguments):
    (tmp_path / "config.yaml").write_text(text)
    return read_field_config(field_parser("ds9", "").parse_args(["--directory", str(tmp_path), *arguments]))


def test_the_folders_are_relative_to_the_directory_of_the_field(tmp_path):
    config = field(tmp_path, yaml.safe_dump({**MINIMAL, "data_dir": "data"}))
    assert (config.data_dir, config.results_dir) == (str(tmp_path / "data"), str(tmp_path / "results"))
    assert config.bands["f125w"].name == "f125w"


def test_a_missing_config(tmp_path):
    with pytest.raises(InputError, match=r"other.yaml: there is no such file"):
        field(tmp_path, "", "--configfile", "other.yaml")


def test_a_config_that_is_not_yaml(tmp_path):
    with pytest.raises(ConfigError, match=r"config.yaml: line 1: `bands: \{` is not valid YAML .*: correct the line"):
        field(tmp_path, "bands: {")


@pytest.mark.parametrize("text", ["", "- a"])
def test_a_config_without_sections(tmp_path, text):
    with pytest.raises(ConfigError, match=r"config.yaml: the file holds no "):
        field(tmp_path, text)


@pytest.mark.parametrize("text", ["data_dir: null", "data_dir: 3"])
def test_a_config_with_mistakes(tmp_path, text):
    with pytest.raises(ConfigError, match=r"^config.yaml: "):
        field(tmp_path, text)


def test_the_configuration_may_be_the_first_word(tmp_path, monkeypatch):
    """It says where the field is: in its folder."""
    (tmp_path / "field").mkdir()
    (tmp_path / "field/other.yaml").write_text(yaml.safe_dump({**MINIMAL, "data_dir": "data"}))
    monkeypatch.chdir(tmp_path)
    options = field_parser("check", "", folder=True).parse_args(["field/other.yaml"])
    assert read_field_config(options).data_dir == "field/data"
