"""The stored results that chapter 4 reads: each names its shipped file, and the command that measures it again."""

import shutil

import pytest

from course_lib.experiments.ch4_latent_ddpm import equal_quality, equal_time, prediction_types, sampler_steps
from course_lib.storage import paths

MODULES = [equal_time, equal_quality, prediction_types, sampler_steps]


@pytest.mark.parametrize("module", MODULES)
def test_a_missing_result_names_the_file_and_the_command(module, monkeypatch, tmp_path):
    shutil.copy(paths.data_dir() / "manifest.json", tmp_path)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(paths.DataError, match=f"{module.RESULT.file} is missing.*`{module.RESULT.command}`"):
        module.RESULT.read()


@pytest.mark.parametrize("module", MODULES)
def test_a_result_that_is_not_listed_is_named(module, monkeypatch, tmp_path):
    (tmp_path / "manifest.json").write_text('{"files": {}}')
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(paths.DataError, match=module.RESULT.file):
        module.RESULT.read()
