"""Listening addresses and how they are described in the log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from angaros.config.config import Config
from angaros.config.main_options import MainOptions
from angaros.daemon.listen import ROOMY_BACKLOG, Listener, backlog_of, describe, listeners, open_all, parse_interface
from angaros.model.errors import ConfigError


def config(**options: object) -> Config:
    return Config(main=MainOptions(**options))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", 0)),
        ("127.0.0.1.25", ("127.0.0.1", 25)),
        ("[127.0.0.1]:25", ("127.0.0.1", 25)),
        ("::1", ("::1", 0)),
        ("::1.25", ("::1", 25)),
        ("::0.1225", ("::0", 1225)),
        ("[::1]:25", ("::1", 25)),
        ("fe80::1:2", ("fe80::1:2", 0)),
    ],
)
def test_interface(text: str, expected: tuple[str, int]) -> None:
    assert parse_interface(text) == expected


@pytest.mark.parametrize("text", ["localhost", "1.2.3", "300.1.1.1", "[::1"])
def test_wrong_interface(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_interface(text)


@pytest.mark.parametrize(
    ("options", "override", "text"),
    [
        ({"daemon_smtp_ports": "25"}, None, "listening for SMTP on port 25 (IPv6 and IPv4)"),
        ({"daemon_smtp_ports": "25", "disable_ipv6": True}, None, "listening for SMTP on port 25 (IPv4)"),
        ({}, "26:27", "listening for SMTP on port 26 (IPv6 and IPv4) port 27 (IPv6 and IPv4)"),
        ({}, "<; 28;29;127.0.0.1", "listening for SMTP on [127.0.0.1]:{28,29}"),
        (
            {"daemon_smtp_ports": "25 : 465", "tls_on_connect_ports": "465"},
            None,
            "listening for SMTP on port 25 (IPv6 and IPv4) and for SMTPS on port 465 (IPv6 and IPv4)",
        ),
        (
            {"local_interfaces": "<; ::0 ; 127.0.0.1.30 ; 0.0.0.0", "daemon_smtp_ports": "25"},
            None,
            "listening for SMTP on port 25 (IPv6 and IPv4) [127.0.0.1]:30",
        ),
    ],
)
def test_description(options: dict[str, object], override: str | None, text: str) -> None:
    assert describe(listeners(config(**options), override)) == text


def test_port_in_use_is_told_in_exims_words() -> None:
    wanted = Listener("127.0.0.1", 0)
    ((_, first),) = open_all([wanted], config(), lambda _: None, lambda _: None)
    taken = replace(wanted, port=first.getsockname()[1])
    slept: list[float] = []
    warned: list[str] = []
    with pytest.raises(ConfigError, match="Address already in use: daemon abandoned"):
        open_all([taken], config(daemon_startup_retries=1, daemon_startup_sleep=30), slept.append, warned.append)
    first.close()
    assert slept == [30]
    assert "waiting 30s before trying again (1 more try)" in warned[0]


def test_the_backlog_is_roomy_unless_the_configuration_says() -> None:
    assert backlog_of(MainOptions()) == ROOMY_BACKLOG
    assert backlog_of(MainOptions(smtp_connect_backlog=20)) == 20
