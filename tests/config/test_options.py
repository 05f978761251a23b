from __future__ import annotations

from typing import Any

import pytest

from angaros.config import options as kinds
from angaros.config.auth_options import AUTHENTICATORS
from angaros.config.main_options import MainOptions
from angaros.config.options import Options
from angaros.config.router_options import ROUTERS, RouterOptions
from angaros.config.settings import Block
from angaros.config.transport_options import TRANSPORTS, AutoreplyOptions, SmtpOptions
from angaros.model.errors import ExpansionError

PYTHON_TYPES: dict[str, tuple[Any, ...]] = {
    kinds.BOOL: (bool,),
    kinds.BOOL_VERIFY: (bool,),
    kinds.EXPAND_BOOL: (bool,),
    **dict.fromkeys((kinds.INT, kinds.MKINT, kinds.KINT, kinds.OCTAL, kinds.FIXED, kinds.TIME), (int,)),
}
TABLES: list[type[Options]] = [MainOptions, *ROUTERS.values(), *TRANSPORTS.values(), *AUTHENTICATORS.values()]


@pytest.mark.parametrize("table", TABLES)
def test_each_default_has_the_type_of_its_kind(table: type[Options]) -> None:
    block = table()
    for name, row in table.OPTIONS.items():
        assert row.name == name
        value = block.get(name)
        assert value == row.default
        expected = PYTHON_TYPES.get(row.kind, (str, type(None)))
        assert isinstance(value, expected), name
        assert row.doc


def test_main_has_all_options() -> None:
    own = [row for row in MainOptions.OPTIONS.values() if row.since == "angaros"]
    assert len(MainOptions.OPTIONS) - len(own) == 291  # those of the inventory, and drop_cr, which Exim had until 4.99
    assert list(MainOptions.OPTIONS) == sorted(MainOptions.OPTIONS)


def test_a_block_is_frozen_and_knows_what_was_given() -> None:
    main = MainOptions(queue_only=True)
    assert main.queue_only and main.is_set("queue_only") and not main.is_set("accept_8bitmime")
    assert main.given() == {"queue_only": True}
    with pytest.raises(AttributeError):
        main.queue_only = False
    assert main.with_(smtp_accept_max=3).given() == {"queue_only": True, "smtp_accept_max": 3}
    assert "queue_only=True" in repr(main)
    with pytest.raises(TypeError):
        MainOptions(no_such_option=1)


def test_options_whose_names_are_words_of_python() -> None:
    assert AutoreplyOptions(**{"from": "a@b"}).from_ == "a@b"
    assert RouterOptions(**{"self": "send"}).self == "send"


def block(table: type[Options], *lines: str, expand: Any = None) -> Block:
    result = Block(table, expand or (lambda text: text))
    for line in lines:
        result.read(line, lambda name: f"{name} unknown")
    return result


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("more = $x", {"more": "$x"}),
        ('more = "$x y"', {"more": "$x y"}),
        ("more = no", {"more": False}),
        ("no_more", {"more": False}),
        ("not_more", {"more": False}),
        ("verify = no", {"verify": False, "verify_sender": False, "verify_recipient": False}),
        ("user = root", {"user": "root", "group": "root"}),
        ("user = 12345", {"user": "12345"}),
        ("user = $x", {"user": "$x"}),
        ("domains =", {"domains": ""}),
    ],
)
def test_router_options(line: str, given: dict[str, Any]) -> None:
    assert block(RouterOptions, line).values == given


def test_options_given_several_times() -> None:
    lines = ["condition = a", "condition = b", "headers_add = x", "headers_add = y", "headers_remove = p", "headers_remove = q"]
    given = block(RouterOptions, *lines, "set = r_a = 1", "set = r_b = 2").values
    assert given["condition"] == "${if and{{bool_lax{a}}{bool_lax{b}}}}"
    assert given["headers_add"] == "x\ny"
    assert given["headers_remove"] == "p:q"
    assert given["set"] == "r_a = 1;r_b = 2"


def test_a_group_of_its_own_is_kept() -> None:
    assert block(RouterOptions, "group = daemon", "user = root").values["group"] == "daemon"
    assert block(RouterOptions, "user = root", "group = daemon").values["group"] == "daemon"


def test_old_names_set_the_new_options() -> None:
    given = block(MainOptions, "return_size_limit = 12K", "daemon_smtp_port = 26").values
    assert given["bounce_return_size_limit"] == 12 << 10
    assert given["daemon_smtp_ports"] == "26"


def test_lists_of_users_are_expanded_when_read() -> None:
    assert (
        block(MainOptions, "trusted_users = $x", expand=lambda text: "root : daemon").values["trusted_users"] == "root : daemon"
    )

    def fail(text: str) -> str:
        raise ExpansionError("no way")

    with pytest.raises(ValueError, match="failed to expand trusted_users: no way"):
        block(MainOptions, "trusted_users = $x", expand=fail)


def test_hide() -> None:
    read = block(SmtpOptions, "hide hosts = a", "hide   no_multi_domain")
    assert read.hidden == {"hosts", "multi_domain"}
