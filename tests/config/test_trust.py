from __future__ import annotations

import os
from pathlib import Path

import pytest

from angaros.config.site import Site
from angaros.config.trust import check_prefix, keeps_power, open_first, request
from angaros.model.errors import ConfigError

root = pytest.mark.skipif(os.getuid() != 0, reason="files must belong to root")
EXIM = 8123


def test_dash_c_that_repeats_the_default_is_no_dash_c() -> None:
    site = Site(configure_file="/a:/b")
    assert not request(site, None, {}).given
    assert not request(site, "/a:/b", {}).given
    wanted = request(site, "/c : /d", {})
    assert wanted.given and wanted.files == ("/c", "/d")


@pytest.mark.parametrize(
    ("dash_c", "macros", "uid", "kept"),
    [
        (None, {}, 1000, True),
        ("/c", {}, 0, True),
        ("/c", {}, 1000, False),
        ("/c", {}, EXIM, False),
        (None, {"A": "x"}, 0, True),
        (None, {"A": "x"}, 1000, False),
        (None, {"A": "x"}, EXIM, False),
        (None, {"SAFE": "x"}, EXIM, True),
        (None, {"SAFE": "x y"}, EXIM, False),
        (None, {"SAFE": "x", "A": ""}, EXIM, False),
        (None, {"SAFE": "x"}, 1000, False),
    ],
)
def test_power_is_kept_for_root_and_what_the_site_trusts(
    dash_c: str | None, macros: dict[str, str], uid: int, kept: bool
) -> None:
    site = Site(whitelist_d_macros="SAFE:OTHER")
    assert keeps_power(site, request(site, dash_c, macros), uid, EXIM) is kept


@root
def test_trusted_config_list(tmp_path: Path) -> None:
    names = tmp_path / "trusted"
    names.write_text("# x\n/etc/ok\n")
    names.chmod(0o644)
    site = Site(trusted_config_list=str(names))
    assert keeps_power(site, request(site, "/etc/ok", {}), EXIM, EXIM)
    assert not keeps_power(site, request(site, "/etc/ok", {}), 1000, EXIM)
    assert not keeps_power(site, request(site, "/etc/other", {}), EXIM, EXIM)
    names.chmod(0o666)
    assert not keeps_power(site, request(site, "/etc/ok", {}), EXIM, EXIM)


def test_prefix() -> None:
    site = Site(alt_config_prefix="/etc/exim/")
    check_prefix(site, ["/etc/exim/a"])
    for name in ("/etc/b", "/etc/exim/../b"):
        with pytest.raises(ConfigError, match="-C Permission denied"):
            check_prefix(site, [name])


def test_the_first_file_that_exists(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("x")
    wanted = request(Site(), f"{tmp_path}/none:{there}", {})
    assert open_first(Site(), wanted, check=False) == (str(there), "x")
    with pytest.raises(ConfigError) as caught:
        open_first(Site(), request(Site(), "/none:/neither", {}), check=False)
    assert str(caught.value) == "non-existent configuration file(s): /none:/neither"


@root
@pytest.mark.parametrize(
    ("mode", "uid", "gid", "good"),
    [
        (0o644, 0, 0, True),
        (0o664, 0, 0, True),
        (0o664, 0, 8, False),
        (0o666, 0, 0, False),
        (0o644, 1, 0, False),
        (0o644, 2, 0, True),
        (0o664, 2, 9, True),
    ],
)
def test_owner_and_mode(tmp_path: Path, mode: int, uid: int, gid: int, good: bool) -> None:
    file = tmp_path / "conf"
    file.write_text("x")
    os.chown(file, uid, gid)
    file.chmod(mode)
    site = Site(configure_owner="2", configure_group="9")
    wanted = request(site, str(file), {})
    if good:
        assert open_first(site, wanted, check=True)[1] == "x"
    else:
        with pytest.raises(ConfigError) as caught:
            open_first(site, wanted, check=True)
        assert str(caught.value) == f"Exim configuration file {file} has the wrong owner, group, or mode"
