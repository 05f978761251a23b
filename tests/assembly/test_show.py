from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from angaros.assembly.reader import Reading, read_config
from angaros.assembly.show import PermissionDenied, View, show_options, squeeze
from angaros.config.config import Config
from angaros.config.site import Site

TEXT = """\
hide mysql_servers = a/b/c
hide queue_only
A = x :
gecos_name = a  b "c  d"   e
domainlist local = a.example : b.example
hide domainlist secret = x
never_users = 0
check_spool_space = 1536K
queue_only_load = 3.5
auto_thaw = 90m
uucp_from_pattern = "a\\tb"

begin acl

check:
  accept   hosts = :
  deny
# comment
begin routers
one:
  driver   =  redirect
  user = root
  modemask = 27
  data = $x
  more = $local_part
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "c"
    file.write_text(TEXT)
    return read_config(
        Reading(Site(exim_user="root", fixed_never_users=""), files=str(file), any_caller=True, keep_lines=True, check_acls=False)
    )


Show = Callable[..., list[str]]


@pytest.fixture
def show(config: Config) -> Show:
    def lines(*words: str, admin: bool = True, names: bool = True, status: int = 0) -> list[str]:
        out: list[str] = []
        view = View(config, out.append, admin=admin, names=names, environment={"B": "2", "A": "1"})
        assert show_options(view, words) == status
        return out

    return lines


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("mysql_servers", "mysql_servers = a/b/c"),
        ("queue_only", "queue_only"),
        ("queue_only_override", "queue_only_override"),
        ("smtp_accept_queue_per_connection", "smtp_accept_queue_per_connection = 10"),
        ("never_users", "never_users = root"),
        ("trusted_users", "trusted_users ="),
        ("system_filter", "system_filter = "),
        ("check_spool_space", "check_spool_space = 1536K"),
        ("queue_only_load", "queue_only_load = 3.5"),
        ("smtp_load_reserve", "smtp_load_reserve ="),
        ("auto_thaw", "auto_thaw = 1h30m"),
        ("delay_warning", "delay_warning = 1d"),
        ("uucp_from_pattern", "uucp_from_pattern = a\\tb"),
        ("exim_user", "exim_user = root"),
        ("+local", "domainlist local = a.example : b.example"),
        ("local_scan", "local_scan() options are not supported"),
        ("router_list", "one"),
    ],
)
def test_one_word(show: Show, word: str, line: str) -> None:
    assert show(word) == [line]


def test_values_only(show: Show) -> None:
    assert show("auto_thaw", "system_filter", "queue_only", "+local", names=False) == [
        "1h30m",
        "",
        "queue_only",
        "a.example : b.example",
    ]


def test_what_is_not_there(show: Show) -> None:
    assert show("nothing", status=1) == ["nothing is not a known option"]
    assert show("verify", status=1) == ["verify is not a known option"]
    assert show("router", "x", status=1) == ["router x not found"]
    assert show("macro", "X", status=1) == ["macro X not found"]
    assert show("+x", status=1) == ['no address, domain, host, or local part list called "x" exists']


def test_hidden_values_are_for_administrators(show: Show) -> None:
    assert show("mysql_servers", "queue_only", "+secret", admin=False) == [
        "mysql_servers = <value not displayable>",
        "queue_only = <value not displayable>",
        "domainlist secret = <value not displayable>",
    ]
    assert show("+secret") == ["domainlist secret = x"]
    for words in (["macros"], ["macro", "A"], ["macro_list"]):
        with pytest.raises(PermissionDenied):
            show(*words, admin=False)


def test_a_driver(show: Show) -> None:
    lines = show("router", "one")
    assert lines[0] == "address_data = "
    assert {"group = root", "user = root", "modemask = 027", "more = $local_part", "no_unseen", "verify_recipient"} < set(lines)
    assert lines.index("verify_sender") < lines.index("no_allow_defer")
    assert not any(line.startswith(("verify =", "no_verify", "fail_verify")) and line != "no_verify_only" for line in lines)
    assert show("routers")[:3] == ["", "one router:", "address_data = "]


def test_macros(show: Show) -> None:
    assert show("macro", "A") == ["A=x :"]
    assert show("macro", "A", names=False) == ["x :"]
    assert show("macro_list")[-1] == "A"
    assert "_OPT_ROUTER_REDIRECT_DATA=y" in show("macros")
    assert "_HAVE_ANGAROS=y" in show("macros")


def test_environment_and_file(show: Show, config: Config) -> None:
    assert show("environment") == ["A=1", "B=2"]
    assert show("environment", names=False) == ["A", "B"]
    assert show("config_file") == show("configure_file") == [config.main_file]


def test_all_main_options(show: Show) -> None:
    lines = show()
    assert lines == show("all")
    assert lines[0] == "accept_8bitmime"
    assert "no_queue_run_in_order" in lines
    assert not any(line.startswith("daemon_smtp_port ") for line in lines)


def test_the_configuration_as_text(show: Show, config: Config) -> None:
    text = "\n".join(show("config"))
    assert text.startswith(f'# Exim Configuration (4.99)\n# 1 "{config.main_file}"\nhide mysql_servers = a/b/c\n')
    assert 'gecos_name = a b "c  d"   e\n' in text
    assert text.endswith(
        "\n\nbegin acl\n\n  check:\n    accept hosts = :\n    deny\n\nbegin routers\n\n  one:\n    driver = redirect\n"
        "    user = root\n    modemask = 27\n    data = $x\n    more = $local_part"
    )
    plain = show("config", names=False)
    assert "check:" in plain and "" not in plain


def test_the_text_hides_too(show: Show) -> None:
    lines = show("config", admin=False)
    assert lines[2:5] == [
        "hide mysql_servers = <value not displayable>",
        "<value not displayable>",
        "A = <value not displayable>",
    ]


@pytest.mark.parametrize(("line", "short"), [("a  =   b", "a = b"), ('a = "x  y"  z', 'a = "x  y"  z'), ('it "s   x', 'it "s x')])
def test_squeeze(line: str, short: str) -> None:
    assert squeeze(line) == short


def test_options_of_ours_are_listed_where_they_are_set(show: Show, tmp_path: Path) -> None:
    """Programs that take -bP's lists apart know Exim's options."""
    assert not any("bmi_" in line for line in show("router", "one"))
    assert not any("metrics_address" in line or "daemon_workers" in line for line in show())
    assert show("metrics_address") == ["metrics_address = "]
    assert not any("BMI_RULE" in name or "METRICS_ADDRESS" in name for name in show("macro_list"))
    assert show("macro", "_OPT_MAIN_METRICS_ADDRESS") == ["_OPT_MAIN_METRICS_ADDRESS=y"]
    file = tmp_path / "d"
    file.write_text("daemon_workers = 3\n")
    other = read_config(Reading(Site(exim_user="root"), files=str(file), any_caller=True))
    out: list[str] = []
    assert show_options(View(other, out.append, admin=True, names=True, environment={}), ()) == 0
    assert "daemon_workers = 3" in out
