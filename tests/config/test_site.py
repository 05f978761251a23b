from __future__ import annotations

import os
from pathlib import Path

import pytest

from angaros.config.site import Site, parse_site, read_site


def test_keys_are_those_of_exims_makefile() -> None:
    site = parse_site("# comment\nEXIM_USER=mta\nSPOOL_DIRECTORY = /var/spool/x\nLOG_MODE = 0600\nTEST_HARNESS=yes\nWEIRD=1\n")
    assert (site.exim_user, site.spool_directory, site.log_mode, site.test_harness) == ("mta", "/var/spool/x", 0o600, True)
    assert site.other == {"WEIRD": "1"}
    assert not site.warnings


def test_bad_lines_give_warnings() -> None:
    site = parse_site("EXIM_USER\nTEST_HARNESS=maybe\nLOG_MODE=rw\n", "F")
    assert site.warnings == (
        "F line 1: KEY = value expected",
        "F line 2: bad value for TEST_HARNESS",
        "F line 3: bad value for LOG_MODE",
    )
    assert not site.test_harness


def test_absent_is_default(tmp_path: Path) -> None:
    assert read_site(str(tmp_path / "none")) == Site()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files of root")
def test_only_a_file_of_root_is_believed(tmp_path: Path) -> None:
    file = tmp_path / "site.conf"
    file.write_text("EXIM_USER=mta\nTEST_HARNESS=yes\n")
    file.chmod(0o644)
    assert read_site(str(file)).exim_user == "mta"
    file.chmod(0o664)
    assert read_site(str(file)) == Site(warnings=(f"{file} is ignored: writable by group or others",))
    file.chmod(0o644)
    os.chown(file, 1, 0)
    assert read_site(str(file)).warnings == (f"{file} is ignored: not owned by root",)
    assert read_site(str(tmp_path)).warnings
