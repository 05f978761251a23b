from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from angaros.assembly import reader
from angaros.assembly.reader import Reading, host_name, read_config
from angaros.config.config import Config, Position
from angaros.config.site import Site
from angaros.model.errors import ConfigError

SITE = Site(exim_user="root", spool_directory="/var/spool/site", log_file_path="/var/log/site/%slog", fixed_never_users="daemon")

Read = Callable[..., Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str, **facts: Any) -> Config:
        file = tmp_path / "exim.conf"
        file.write_text(text, "latin-1")
        facts.setdefault("expand", lambda value, config: value.replace("$primary_hostname", config.main.primary_hostname))
        return read_config(Reading(facts.pop("site", SITE), files=str(file), any_caller=True, check_acls=False, **facts))

    return read_text


def test_everything_is_there(read: Read, tmp_path: Path) -> None:
    config = read(
        "domainlist local = a : b\nhide hostlist h = 10.0.0.0/8\nlocalpartlist_cache l = p\n"
        "trusted_users = root:daemon\nqualify_domain = q.example\n"
        "begin acl\nMAC = 1\nrcpt:\n  accept domains = +local\n         hosts = \\\n  MAC\nother :\n  deny\n"
        "begin routers\nr:\n  driver = accept\n  transport = t\n"
        "begin transports\nt:\n  driver = appendfile\n  file = /x\n"
        "begin authenticators\na:\n  driver = plaintext\n  server_condition = no\n"
        "begin retry\n* * F,1h,1m\nbegin rewrite\n*@a b@c E\nbegin local_scan\nx = y\n"
    )
    file = str(tmp_path / "exim.conf")
    assert config.main_file == file and config.files == (file,)
    assert config.named_lists["domain"]["local"].text == "a : b"
    assert config.named_lists["host"]["h"].hidden
    assert config.named_lists["localpart"]["l"].cacheable
    assert config.trusted_uids == {0, 1}
    assert config.never_uids == {1}
    assert (config.main.qualify_domain, config.main.qualify_recipient) == ("q.example", "q.example")
    assert [line.text for line in config.acls["rcpt"].lines] == ["accept domains = +local", "hosts = 1"]
    assert [line.position.line for line in config.acls["rcpt"].lines] == [9, 11]
    assert config.acls["other"].lines[0].text == "deny"
    assert config.router("r") is config.routers[0] and config.router("x") is None
    assert config.routers[0].position == Position(file, 15)
    assert config.routers[0].options.log_as_local and config.routers[0].options.transport == "t"
    assert config.transports["t"].options.file == "/x"  # type: ignore[attr-defined]
    assert config.transports["t"].options.retry_use_local_part
    authenticator = config.authenticator("a")
    assert authenticator is not None and authenticator.options.public_name == "a"
    assert config.authenticator("b") is None
    assert config.retry_rules[0].pattern == "*"
    assert config.rewrite_rules[0].replacement == "b@c"
    assert config.local_scan == {"x": "y"}
    assert config.macros["MAC"].value == "1"


def test_defaults_of_the_site(read: Read) -> None:
    config = read("")
    main = config.main
    assert main.spool_directory == "/var/spool/site"
    assert main.log_file_path == "/var/log/site/%slog"
    assert main.primary_hostname == host_name() == main.qualify_domain == main.qualify_recipient
    assert main.exim_path == "/usr/sbin/exim"
    assert main.process_log_path == "/var/spool/site/exim-process.info"
    assert (config.exim_uid, config.exim_gid) == (0, 0)
    assert "size_reject" in config.log_selectors


def test_paths_are_expanded(read: Read) -> None:
    config = read("primary_hostname = h.example\nspool_directory = /s/$primary_hostname\npid_file_path =\n")
    assert config.main.spool_directory == "/s/h.example"
    assert config.main.pid_file_path == ""


def test_exim_user_and_group(read: Read) -> None:
    config = read("exim_user = daemon\nexim_group = 8\n")
    assert (config.exim_uid, config.exim_gid) == (1, 8)
    assert read("exim_user = daemon\n").exim_gid == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localhost_number = x", 'localhost_number value is not a number: "x"'),
        ("localhost_number = 17", "localhost_number is greater than the maximum allowed value (16)"),
        ("syslog_facility = foo", 'failed to interpret syslog_facility "foo"'),
        ("openssl_options = +no_such_thing", "openssl_options parse error: +no_such_thing"),
        ("log_selector = +subject -nothing", "unknown log_selector setting: -nothing"),
    ],
)
def test_errors_of_main_options(read: Read, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text + "\n")
    assert str(caught.value) == f"Exim configuration error:\n  {message}"


def test_errors_of_acls(tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_text("begin acl\na:\n  accept\n  nonsense = 1\n")
    with pytest.raises(ConfigError) as caught:
        read_config(Reading(SITE, files=str(file), any_caller=True))
    assert str(caught.value) == (
        f'Exim configuration error in line 4 of {file}:\n  error in ACL: unknown ACL condition/modifier in "nonsense = 1"'
    )


def test_unknown_user_of_the_site() -> None:
    with pytest.raises(ConfigError, match='failed to find uid for user name "nosuchuser"'):
        read_config(Reading(Site(exim_user="nosuchuser"), files="/none"))
    with pytest.raises(ConfigError, match='failed to find gid for group name "nosuchgroup"'):
        read_config(Reading(Site(exim_user="root", exim_group="nosuchgroup"), files="/none"))


def test_macros_of_the_command_line_and_built_in(read: Read) -> None:
    text = "A = 1\n.ifdef _HAVE_ANGAROS\nsmtp_accept_max = A\n.endif\n.ifdef _OPT_ROUTER_REDIRECT_DATA\nqueue_only\n.endif\n"
    config = read(text, macros={"A": "7"})
    assert config.main.smtp_accept_max == 7 and config.main.queue_only
    assert config.macros["A"].command_line


def test_old_retry_errors_are_told(read: Read) -> None:
    config = read("begin retry\n* timeout_DNS F,1h,1m\n")
    assert config.retry_rules[0].error.kind == "timeout"
    assert config.warnings[0].startswith('"timeout_dns" is no longer available in retry rules')


def test_hide_hides_in_all_instances_of_the_driver(read: Read) -> None:
    config = read(
        "begin routers\na:\n  driver = redirect\n  hide data = x\nb:\n  driver = redirect\n  data = y\n"
        "c:\n  driver = manualroute\n  hide condition = z\n  route_list = * x\n"
    )
    assert [sorted(router.hidden) for router in config.routers] == [["condition", "data"], ["condition", "data"], ["condition"]]


def test_settings_without_effect_are_told(read: Read, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(reader.MISSING, "main.queue_only", "not built")
    monkeypatch.setitem(reader.MISSING, "smtp.dscp", "not built")
    config = read("queue_only\nbegin transports\nt:\n  driver = smtp\n  dscp = ef\n")
    file = tmp_path / "exim.conf"
    assert config.warnings == (
        f"option queue_only ({file} line 1) has no effect: not built",
        f"option dscp of transport t ({file} line 3) has no effect: not built",
    )


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: files and deliveries of other users")
def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_text("")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match="has the wrong owner, group, or mode"):
        read_config(Reading(SITE, files=str(file)))
    assert not read_config(Reading(SITE, files=str(file), real_uid=1000)).trusted


WORDS = st.sampled_from(
    [
        "begin acl",
        "begin routers",
        "begin transports",
        "begin retry",
        "begin rewrite",
        "begin authenticators",
        "r:",
        "driver = redirect",
        "driver = smtp",
        "data = x",
        "accept",
        "hosts = a",
        "* * F,1h,1m",
        "* a E",
        "A = b",
        "hide queue_only",
        "domainlist x = y",
        "\\",
        "driver = appendfile",
        "file = /x",
        "driver = plaintext",
        "headers_rewrite = a b",
        "condition = ${if",
        'more = "x',
        "no_verify",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.lists(WORDS | st.text(st.characters(max_codepoint=255), max_size=15), max_size=15))
def test_any_text_is_a_configuration_or_an_error(read: Read, lines: list[str]) -> None:
    try:
        read("\n".join(lines))
    except ConfigError as error:
        assert str(error)
