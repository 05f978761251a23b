"""Each option of each authenticator by what it changes. Exim spec 33 to 42

`ROWS` has one check a row of the inventory (`use.name`), and rows of ours; a test fails when one is missing.
"""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from angaros.auths import base, tls
from angaros.auths.sasl import ntlm
from angaros.config.auth_options import AUTHENTICATORS, AuthOptions
from angaros.config.driver_checks import check_authenticator
from angaros.config.missing import MISSING, NO_EFFECT
from angaros.net.blocking import BlockingWaiter
from tests.auths import test_digest_md5, test_gsasl, test_kerberos
from tests.auths.test_gsasl import PASSWORD, SECRET
from tests.auths.test_mechanisms import instance, scope, talk
from tests.delivery.world import Sink
from tests.delivery.world import World as Delivery
from tests.expand.test_tables import INVENTORY
from tests.inbound.smtp_world import World as Reception

Check = Callable[[pytest.MonkeyPatch, Path], None]
ROUTER = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"


def b64(text: str) -> str:
    return b64encode(text.encode("latin-1")).decode()


def status(driver: str, options: dict[str, str], initial: str | None, *responses: str) -> str:
    return talk(instance(driver, **options), initial, *responses)[1].status


def delivered(tmp_path: Path, lines: str, replies: dict[str, str], mechanism: str = "PLAIN") -> tuple[list[str], str]:
    """What we said to a server that offers the mechanism, and the log."""
    with Sink({**replies, "AUTH": replies.get("AUTH", "235 yes")}, ehlo=(f"AUTH {mechanism}",)) as sink:
        transport = f"t:\n  driver = smtp\n  port = {sink.port}\n  hosts_require_auth = *\n"
        retry = f"* * F,5d,10m\nbegin authenticators\na:\n  {lines}\n"
        log = Delivery(tmp_path, ROUTER, transport, retry=retry).deliver()
    return sink.commands, "\n".join(log)


PLAIN = "driver = plaintext\n  public_name = PLAIN\n  client_send = ^u^p\n"


def client_condition(_: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text, used in (("yes", True), ("${if eq{$host}{127.0.0.1}}", True), ("no", False), ("", False), ("$nonesuch", False)):
        commands, _log = delivered(tmp_path, f"{PLAIN}  client_condition = {text}", {})
        assert any(one.startswith("AUTH") for one in commands) == used, text


def client_set_id(_: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = delivered(tmp_path, f"{PLAIN}  client_set_id = ${{uc:me}}", {})[1]
    assert " A=a:ME " in log
    assert " A=a " in delivered(tmp_path, PLAIN, {})[1]


def driver(_: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from angaros.model.errors import ConfigError

    with pytest.raises(ConfigError, match="nonesuch"):
        delivered(tmp_path, "driver = nonesuch", {})


def public_name(_: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert check_authenticator(instance("plaintext")) == {"public_name": "auth"}
    assert check_authenticator(instance("plaintext", public_name="PLAIN")) == {}
    assert any(one.startswith("AUTH PLAIN ") for one in delivered(tmp_path, PLAIN, {})[0])


def server_advertise_condition(_: pytest.MonkeyPatch, _path: Path) -> None:
    for text, offered in (("yes", True), ("${if eq{1}{1}}", True), ("no", False), ("${if eq{1}{2}{x}fail}", False)):
        assert base.advertised(instance("plaintext", server_advertise_condition=text), scope()) == offered


def server_condition(_: pytest.MonkeyPatch, _path: Path) -> None:
    for text, found in (("true", "ok"), ("no", "fail"), ("later", "defer"), ("${if eq{$auth2}{u}}", "ok")):
        assert status("plaintext", {"server_prompts": ":", "server_condition": text}, "\0u\0p") == found


def server_debug_print(monkeypatch: pytest.MonkeyPatch, _path: Path) -> None:
    from angaros.model.scope import Scope

    traced: list[str] = []
    monkeypatch.setattr(Scope, "tracing", lambda self, *selectors: True)
    monkeypatch.setattr(Scope, "trace", lambda self, selector, text: traced.append(text))
    options = {"server_prompts": ":", "server_condition": "yes", "server_debug_print": "who: $auth2"}
    assert status("plaintext", options, "\0u\0p") == "ok" and "who: u" in traced


MAIL_AUTH = "auth_advertise_hosts = *\nacl_smtp_rcpt = accept\nacl_smtp_mail = show\n"


def server_mail_auth_condition(_: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for text, believed in (("yes", "them@far.test"), ("${if eq{$authenticated_id}{other}}", "")):
        own = "p:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n  server_condition = yes\n"
        own += f"  server_set_id = $auth2\n  server_mail_auth_condition = {text}\n"
        s = Reception(tmp_path, main=MAIL_AUTH, acl="show:\n  accept\n", authenticators=own).greeted()
        assert s.code("AUTH PLAIN " + b64("\0u\0p")) == "235"
        assert s.code("MAIL FROM:<s@far.test> AUTH=them@far.test") == "250"
        assert (s.conversation.session.authenticated_sender or "") == believed


def server_set_id(_: pytest.MonkeyPatch, _path: Path) -> None:
    options = {"server_prompts": ":", "server_condition": "yes", "server_set_id": "id $auth2"}
    assert talk(instance("plaintext", **options), "\0u\0p")[2] == "id u"


def client_ignore_invalid_base64(_: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = "driver = plaintext\n  public_name = LOGIN\n  client_send = : user : secret\n"
    replies = {"AUTH": "334 !nonsense!", b64("user"): "334 !nonsense!", b64("secret"): "235 yes"}
    assert "Invalid base64" in delivered(tmp_path, lines, replies, "LOGIN")[1]
    commands, log = delivered(tmp_path, f"{lines}  client_ignore_invalid_base64\n", replies, "LOGIN")
    assert " A=a " in log and b64("secret") in commands


def client_send(_: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands, _log = delivered(tmp_path, PLAIN.replace("^u^p", "^${lc::U}^p^^x"), {})
    assert f"AUTH PLAIN {b64(chr(0) + 'u' + chr(0) + 'p^x')}" in commands


def server_prompts(_: pytest.MonkeyPatch, _path: Path) -> None:
    options = {"server_prompts": "User\\x20Name : ${uc:word}", "server_condition": "${if eq{$auth1$auth2}{up}}"}
    challenges, result, _set = talk(instance("plaintext", **options), None, "u", "p")
    assert challenges == ["User\\x20Name", "WORD"] or challenges == ["User Name", "WORD"]
    assert result.status == "ok"


def _cram(server: dict[str, str], client: dict[str, str]) -> str:
    theirs, ours = scope(), scope()
    dialogue = base.client(instance("cram_md5", **client), ours)
    served = base.authenticate(instance("cram_md5", **server), theirs, None)
    next(dialogue)
    try:
        served.dialogue.send(dialogue.send(next(served.dialogue)))
    except StopIteration as stop:
        return f"{stop.value.status} {served.scope.expand('$auth1')}"
    raise AssertionError("no end")


def cram_client_name(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert _cram({"server_secret": "s"}, {"client_secret": "s", "client_name": "${lc:ME}"}) == "ok me"
    assert _cram({"server_secret": "s"}, {"client_secret": "s"}) == "ok mail.test"


def cram_client_secret(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert _cram({"server_secret": "s"}, {"client_secret": "${lc:T}"}) == "fail mail.test"


def cram_server_secret(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert _cram({"server_secret": "${if eq{$auth1}{mail.test}{s}fail}"}, {"client_secret": "s"}) == "ok mail.test"
    assert _cram({"server_secret": "${if eq{$auth1}{x}{s}fail}"}, {"client_secret": "s"}) == "fail mail.test"


def cyrus_asks(monkeypatch: pytest.MonkeyPatch, options: dict[str, str], *said: str) -> list[str]:
    from angaros.auths import cyrus_sasl

    asked: list[list[str]] = []
    monkeypatch.setattr(cyrus_sasl, "ask_saslauthd", lambda fields, scope: asked.append(fields) or True)
    assert talk(instance("cyrus_sasl", **options), *said)[1].status == "ok"
    return asked[0]


def cyrus_server_mech(monkeypatch: pytest.MonkeyPatch, _path: Path) -> None:
    assert cyrus_asks(monkeypatch, {"public_name": "X-ANY", "server_mech": "PLAIN"}, "\0u\0p")[:2] == ["u", "p"]


def cyrus_server_realm(monkeypatch: pytest.MonkeyPatch, _path: Path) -> None:
    assert cyrus_asks(monkeypatch, {"public_name": "PLAIN", "server_realm": "${uc:r}"}, "\0u\0p")[3] == "R"


def cyrus_server_service(monkeypatch: pytest.MonkeyPatch, _path: Path) -> None:
    assert cyrus_asks(monkeypatch, {"public_name": "PLAIN", "server_service": "imap"}, "\0u\0p")[2] == "imap"


def key_of(monkeypatch: pytest.MonkeyPatch, driver_name: str, **options: str) -> Any:
    given = test_kerberos.YES | options
    return test_kerberos.talk(monkeypatch, driver_name, given, "t", "", test_kerberos.CHOICE)[3].key


def hostname(driver_name: str) -> Check:
    def check(monkeypatch: pytest.MonkeyPatch, _path: Path) -> None:
        assert key_of(monkeypatch, driver_name).hostname == "mail.test"
        assert key_of(monkeypatch, driver_name, server_hostname="${lc:KDC}.test").hostname == "kdc.test"

    return check


def service(driver_name: str) -> Check:
    def check(monkeypatch: pytest.MonkeyPatch, _path: Path) -> None:
        assert key_of(monkeypatch, driver_name).service == "smtp"
        assert key_of(monkeypatch, driver_name, server_service="imap").service == "imap"

    return check


def heimdal_server_keytab(monkeypatch: pytest.MonkeyPatch, _path: Path) -> None:
    assert key_of(monkeypatch, "heimdal_gssapi").keytab == ""
    assert key_of(monkeypatch, "heimdal_gssapi", server_keytab="/etc/${lc:KT}").keytab == "/etc/kt"


def dovecot_server_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "auth")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()

        def serve() -> None:
            peer, _ = door.accept()
            with peer:
                peer.sendall(b"VERSION\t1\t2\nMECH\tPLAIN\nDONE\n")
                said = b""
                while b"AUTH" not in said:
                    said += peer.recv(1000)
                peer.sendall(b"OK\t1\tuser=joe\n")

        threading.Thread(target=serve, daemon=True).start()
        here = scope()
        here.services.waiter = BlockingWaiter()
        served = base.authenticate(instance("dovecot", public_name="PLAIN", server_socket=path), here, "\0u\0p")
        with pytest.raises(StopIteration) as stop:
            next(served.dialogue)
    assert stop.value.value.status == "ok" and served.scope.expand("$auth1") == "joe"


def dovecot_server_tls(monkeypatch: pytest.MonkeyPatch, _path: Path) -> None:
    """Of ours, for `host port`."""
    started: list[str] = []

    class Stream:
        def start_tls(self, context: object, timeout: float) -> None:
            started.append("TLS")
            raise OSError(111, "Connection refused")

        def close(self) -> None:
            started.append("closed")

    class Waiter:
        def connect(self, host: str, port: int, timeout: float) -> Stream:
            return Stream()

    here = scope()
    here.services.waiter = Waiter()  # type: ignore[assignment]
    made = instance("dovecot", public_name="PLAIN", server_socket="127.0.0.1 12345", server_tls=True)  # type: ignore[arg-type]
    with pytest.raises(StopIteration) as stop:
        next(base.authenticate(made, here, "\0u\0p").dialogue)
    assert stop.value.value.status == "defer" and started == ["TLS", "closed"]


SCRAM = {"public_name": "SCRAM-SHA-256"}


def gsasl(server: dict[str, str], client: dict[str, str], mechanism: str = "SCRAM-SHA-256") -> tuple[str, Any, Any]:
    name = {"public_name": mechanism}
    found, _set, theirs, ours = test_gsasl.exchange(name | server, name | PASSWORD | client)
    return found, theirs, ours


def gsasl_client_authz(_: pytest.MonkeyPatch, _path: Path) -> None:
    wanted = SECRET | {"server_condition": "${if eq{$auth2}{boss}}"}
    assert gsasl(wanted, {"client_authz": "${lc:BOSS}"})[0] == "ok" and gsasl(wanted, {})[0] == "fail"


def gsasl_client_password(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert gsasl(SECRET, {"client_password": "${lc:PENCIL}"})[0] == "ok" and gsasl(SECRET, {"client_password": "x"})[0] == "fail"


def gsasl_client_spassword(_: pytest.MonkeyPatch, _path: Path) -> None:
    salt = {"server_scram_salt": "QSXCR+Q6sek8bf92"}
    salted = gsasl(SECRET | salt, {})[2].local["auth4"]
    given = {
        "client_password": "wrong",
        "client_spassword": f"${{if eq{{$auth1-$auth2-$auth3}}{{ph10-4096-QSXCR+Q6sek8bf92}}{{{salted}}}}}",
    }
    assert gsasl(SECRET | salt, given)[0] == "ok"


def gsasl_client_username(_: pytest.MonkeyPatch, _path: Path) -> None:
    found, theirs, _ours = gsasl({"server_password": "pencil"}, {"client_username": "${lc:OTHER}"})
    assert found == "ok" and theirs.expand("$auth1") == "other"


def gsasl_server_keys(_: pytest.MonkeyPatch, _path: Path) -> None:
    """`server_key` and `server_skey` belong together."""
    test_gsasl.test_stored_keys_count_before_the_password()
    for one in ("server_key", "server_skey"):
        assert gsasl({one: "AAAA", "server_password": "pencil"}, {})[0] == "ok"  # of the wrong length: the password counts


def gsasl_server_mech(_: pytest.MonkeyPatch, _path: Path) -> None:
    options = {"public_name": "X-ANY", "server_mech": "PLAIN", "server_condition": "${if eq{$auth1}{u}}"}
    assert status("gsasl", options, "\0u\0p") == "ok"


def gsasl_server_password(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert gsasl({"server_password": "${if eq{$auth1}{ph10}{pencil}fail}"}, {})[0] == "ok"
    assert gsasl({"server_password": "other"}, {})[0] == "fail"


def gsasl_server_realm(_: pytest.MonkeyPatch, _path: Path) -> None:
    wanted = {"server_password": "${if eq{$auth3}{here}{pencil}fail}"}
    assert test_digest_md5.exchange(wanted | {"server_realm": "${lc:HERE}"}, {})[0] == "ok"
    assert test_digest_md5.exchange(wanted | {"server_realm": "there"}, {})[0] == "defer"


def gsasl_server_scram_iter(_: pytest.MonkeyPatch, _path: Path) -> None:
    for text, number in ((None, "4096"), ("${eval:4096*2}", "8192")):
        assert gsasl(SECRET | ({"server_scram_iter": text} if text else {}), {})[2].local["auth2"] == number


def gsasl_server_scram_salt(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert gsasl(SECRET | {"server_scram_salt": "QSXCR+Q6sek8bf92"}, {})[2].local["auth3"] == "QSXCR+Q6sek8bf92"


def gsasl_server_hostname(_: pytest.MonkeyPatch, _path: Path) -> None:
    for name, found in (("MAIL.test", "ok"), ("other.test", "fail")):
        assert test_digest_md5.exchange(SECRET | {"server_hostname": name}, {})[0] == found


def gsasl_server_service(_: pytest.MonkeyPatch, _path: Path) -> None:
    for name, found in (("smtp", "ok"), ("imap", "fail")):
        assert test_digest_md5.exchange(SECRET | {"server_service": name}, {})[0] == found


def spa(server: dict[str, str], client: dict[str, str]) -> tuple[str, ntlm.Response]:
    """The result, and the client's last message."""
    theirs, ours = scope(), scope()
    dialogue = base.client(instance("spa", **client), ours)
    served = base.authenticate(instance("spa", **server), theirs, None)
    next(dialogue)
    next(served.dialogue)
    challenge = served.dialogue.send(b64(dialogue.send("NTLM supported")))
    answer = dialogue.send(b64decode(challenge).decode("latin-1"))
    with pytest.raises(StopIteration) as stop:
        served.dialogue.send(b64(answer))
    return stop.value.value.status, ntlm.parse_authenticate(answer.encode("latin-1"))


USER = {"client_username": "u", "client_password": "p"}


def spa_client_domain(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert spa({"server_password": "p"}, USER | {"client_domain": "${uc:dom}"})[1].domain == "DOM"


def spa_client_password(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert spa({"server_password": "p"}, USER | {"client_password": "${lc:P}"})[0] == "ok"
    assert spa({"server_password": "p"}, USER | {"client_password": "q"})[0] == "fail"


def spa_client_username(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert spa({"server_password": "p"}, USER | {"client_username": "${lc:YOU}"})[1].user == "you"


def spa_server_password(_: pytest.MonkeyPatch, _path: Path) -> None:
    assert spa({"server_password": "${if eq{$auth1}{u}{p}fail}"}, USER)[0] == "ok"
    assert spa({"server_password": "${if eq{$auth1}{v}{p}fail}"}, USER)[0] == "fail"


def external_client_send(_: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lines = "driver = external\n  public_name = EXTERNAL\n  client_send = ${lc:ME}\n"
    assert f"AUTH EXTERNAL {b64('me')}" in delivered(tmp_path, lines, {}, "EXTERNAL")[0]


def parameter(driver_name: str, option: str, number: int) -> Check:
    """It gives `$authN`."""

    def check(_: pytest.MonkeyPatch, _path: Path) -> None:
        options = {option: "${uc:value}", "server_condition": f"${{if eq{{$auth{number}}}{{VALUE}}}}"}
        for given, found in ((options, "ok"), ({"server_condition": options["server_condition"]}, "fail")):
            if driver_name == "tls":
                before = {f"server_param{one}": "x" for one in range(1, number)}
                assert tls.check(instance("tls", **(before | given)), scope()).status == found
            else:
                assert status(driver_name, given, "me") == found

    return check


ROWS: dict[str, Check] = {
    "authenticators.client_condition": client_condition,
    "authenticators.client_set_id": client_set_id,
    "authenticators.driver": driver,
    "authenticators.public_name": public_name,
    "authenticators.server_advertise_condition": server_advertise_condition,
    "authenticators.server_condition": server_condition,
    "authenticators.server_debug_print": server_debug_print,
    "authenticators.server_mail_auth_condition": server_mail_auth_condition,
    "authenticators.server_set_id": server_set_id,
    "plaintext.client_ignore_invalid_base64": client_ignore_invalid_base64,
    "plaintext.client_send": client_send,
    "plaintext.server_condition": server_condition,
    "plaintext.server_prompts": server_prompts,
    "cram_md5.client_name": cram_client_name,
    "cram_md5.client_secret": cram_client_secret,
    "cram_md5.server_secret": cram_server_secret,
    "cyrus_sasl.server_hostname": hostname("cyrus_sasl"),
    "cyrus_sasl.server_mech": cyrus_server_mech,
    "cyrus_sasl.server_realm": cyrus_server_realm,
    "cyrus_sasl.server_service": cyrus_server_service,
    "dovecot.server_socket": dovecot_server_socket,
    "dovecot.server_tls": dovecot_server_tls,
    "gsasl.client_authz": gsasl_client_authz,
    "gsasl.client_password": gsasl_client_password,
    "gsasl.client_spassword": gsasl_client_spassword,
    "gsasl.client_username": gsasl_client_username,
    "gsasl.server_hostname": gsasl_server_hostname,
    "gsasl.server_key": gsasl_server_keys,
    "gsasl.server_mech": gsasl_server_mech,
    "gsasl.server_password": gsasl_server_password,
    "gsasl.server_realm": gsasl_server_realm,
    "gsasl.server_scram_iter": gsasl_server_scram_iter,
    "gsasl.server_scram_salt": gsasl_server_scram_salt,
    "gsasl.server_service": gsasl_server_service,
    "gsasl.server_skey": gsasl_server_keys,
    "heimdal_gssapi.server_hostname": hostname("heimdal_gssapi"),
    "heimdal_gssapi.server_keytab": heimdal_server_keytab,
    "heimdal_gssapi.server_service": service("heimdal_gssapi"),
    "spa.client_domain": spa_client_domain,
    "spa.client_password": spa_client_password,
    "spa.client_username": spa_client_username,
    "spa.server_password": spa_server_password,
    "external.client_send": external_client_send,
    "external.server_param2": parameter("external", "server_param2", 2),
    "external.server_param3": parameter("external", "server_param3", 3),
    "tls.server_param": parameter("tls", "server_param", 1),
    "tls.server_param1": parameter("tls", "server_param1", 1),
    "tls.server_param2": parameter("tls", "server_param2", 2),
    "tls.server_param3": parameter("tls", "server_param3", 3),
}
"""`use.name` -> its check."""


@pytest.mark.parametrize("row", ROWS)
def test_option(row: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ROWS[row](monkeypatch, tmp_path)


def test_each_option_has_a_row() -> None:
    own = {f"{name}.{option}" for name, kind in AUTHENTICATORS.items() for option in set(kind.OPTIONS) - set(AuthOptions.OPTIONS)}
    built = own | {f"authenticators.{option}" for option in AuthOptions.OPTIONS}
    assert not any(row.startswith("authenticator.") or row in built for row in MISSING)
    assert {row for row in built if row not in NO_EFFECT} <= ROWS.keys() <= built | {"plaintext.server_condition"}


@pytest.mark.skipif(INVENTORY is None, reason="Exim's inventory (../shared/inventory) is not beside this checkout")
def test_the_inventory_has_no_other_rows() -> None:
    assert INVENTORY is not None
    rows = json.loads((INVENTORY / "authenticator_options.json").read_text())
    assert {f"{row['use']}.{row['name']}" for row in rows} <= ROWS.keys() | NO_EFFECT.keys()
