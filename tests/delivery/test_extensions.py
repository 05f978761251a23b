"""FUTURERELEASE, DELIVERBY, MT-PRIORITY, REQUIRETLS at a delivery. RFC 4865, 2852, 6710, 8689."""

from __future__ import annotations

import ssl
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from angaros.delivery.options import DeliverOptions
from angaros.model.extensions import Extensions
from angaros.model.message import DSN_NOTIFY_NEVER, DSN_NOTIFY_SUCCESS, DSN_RET_FULL, Message
from angaros.net.mta_sts import Policy
from angaros.net.mta_sts_cache import Finding
from tests.delivery.world import ME, Sink, World
from tests.net.test_tls import Made
from tests.policy import NOW

START = int(NOW)
SMTP = "r:\n  driver = manualroute\n  route_list = * 127.0.0.1\n  self = send\n  transport = t\n"
DEFER = "r:\n  driver = redirect\n  allow_defer\n  data = :defer: later\n"
ALL = ("DELIVERBY 30", "FUTURERELEASE 3600 2030-01-01T00:00:00Z", "MT-PRIORITY", "DSN")
RUN, FORCED = DeliverOptions(queue_run=True), DeliverOptions(forced=True)


def smtp(port: int, more: str = "") -> str:
    return f"t:\n  driver = smtp\n  port = {port}\n  hosts_try_dane =\n{more}"


def local(tmp_path: Path) -> tuple[str, str]:
    return "r:\n  driver = accept\n  transport = t\n", f"t:\n  driver = appendfile\n  file = {tmp_path}/box\n  {ME}\n"


def with_extensions(world: World, extensions: Extensions, **more: Any) -> Message:
    """A message in the spool with its extensions in -H, not yet tried."""
    message = world.accept(["x@dom.example"], **more)
    world.held.pop()[1].release()
    message.extensions = extensions
    world.services.store.update(message)
    return message


def mail_command(sink: Sink) -> str:
    return next(line for line in sink.commands if line.startswith("MAIL")).partition("<joe@author.example>")[2]


def report_fields(text: str) -> dict[str, str]:
    """Fields of message/delivery-status."""
    for part in message_from_string(text).walk():
        if part.get_content_type() == "message/delivery-status":
            return {name: value for block in part.get_payload() for name, value in block.items()}  # type: ignore[union-attr]
    raise AssertionError(text)


# --- FUTURERELEASE ----------------------------------------------------------------------------------------------------------


def test_a_held_message_waits_for_its_time(tmp_path: Path) -> None:
    world = World(tmp_path, *local(tmp_path), main="log_selector = +skip_delivery\n")
    message = with_extensions(world, Extensions(release=START + 600))
    for options in (RUN, DeliverOptions(queue_run=True, forced=True), DeliverOptions(queue_run=True, forced=True, thaw=True)):
        assert world.again(message.id, options)[-1].startswith("Message is held until ")
    assert not (tmp_path / "box").exists()
    world.clock.time += 601
    assert any(line.startswith("=> x") for line in world.again(message.id, RUN))


def test_an_administrator_may_deliver_it_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, *local(tmp_path))
    message = with_extensions(world, Extensions(release=START + 600))
    assert any(line.startswith("=> x") for line in world.again(message.id, FORCED))


def test_retry_times_and_warnings_count_from_the_release(tmp_path: Path) -> None:
    with Sink({"RCPT": "450 later"}) as sink:
        world = World(tmp_path, SMTP, smtp(sink.port), main="delay_warning = 2h\n", retry="* * F,1d,1h")
        message = with_extensions(world, Extensions(release=START + 6 * 86400))
        world.clock.time += 6 * 86400 + 60
        assert "450 later" in "\n".join(world.again(message.id))
        assert world.sent == []
        world.clock.time += 3 * 3600
        assert "retry timeout" not in "\n".join(world.again(message.id))
        assert len(world.sent) == 1  # the warning
        world.clock.time += 2 * 86400
        assert "** x@dom.example: retry timeout exceeded" in world.again(message.id)


@pytest.mark.parametrize(("left", "parameter"), [(600, " HOLDFOR="), (7200, "")])
def test_what_is_left_of_the_time_is_passed_on(tmp_path: Path, left: int, parameter: str) -> None:
    """Only when it is sent before its time, to a host that would hold it that long."""
    with Sink(ehlo=ALL) as sink:
        world = World(tmp_path, SMTP, smtp(sink.port))
        message = with_extensions(world, Extensions(release=START + left))
        world.again(message.id, FORCED)
    command = mail_command(sink)
    assert ("HOLDFOR" in command) == bool(parameter)
    if parameter:
        assert left - 5 < int(command.partition(parameter)[2]) <= left


# --- DELIVERBY --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "trace"), [("R", False), ("N", True)])
def test_the_remaining_time_is_passed_on(tmp_path: Path, mode: str, trace: bool) -> None:
    with Sink(ehlo=ALL) as sink:
        world = World(tmp_path, SMTP, smtp(sink.port))
        message = with_extensions(world, Extensions(by=START + 600, by_mode=mode, by_trace=trace))
        world.clock.time += 100
        world.again(message.id)
    left, _, flags = mail_command(sink).partition(" BY=")[2].partition(";")
    assert 490 < int(left) <= 500
    assert flags == mode + ("T" if trace else "")
    actions = [report_fields(text)["Action"] for text in world.sent]
    assert actions == (["relayed"] if trace else [])


def test_mode_n_goes_on_when_its_time_is_over(tmp_path: Path) -> None:
    with Sink(ehlo=ALL) as sink:
        world = World(tmp_path, SMTP, smtp(sink.port))
        message = with_extensions(world, Extensions(by=START - 50, by_mode="N"))
        world.again(message.id)
    assert mail_command(sink).startswith(" BY=-5")


REFUSING: dict[str, tuple[tuple[str, ...], str, str]] = {
    "unknown": ((), "5.3.3", "DELIVERBY support required but not offered"),
    "too long": (("DELIVERBY 3600",), "5.4.7", "seconds are left for delivery but the host wants 3600"),
}


@pytest.mark.parametrize("name", REFUSING)
def test_mode_r_is_returned_by_a_host_that_cannot(tmp_path: Path, name: str) -> None:
    words, status, text = REFUSING[name]
    with Sink(ehlo=words) as sink:
        world = World(tmp_path, SMTP, smtp(sink.port))
        message = with_extensions(world, Extensions(by=START + 600, by_mode="R"))
        log = world.again(message.id)
    assert any(line.startswith("** x@dom.example") and text in line for line in log)
    assert report_fields(world.sent[0])["Status"] == status
    assert sink.messages == []


def test_another_host_may_be_able(tmp_path: Path) -> None:
    with Sink() as first, Sink(ehlo=ALL) as second:
        routers = SMTP.replace("* 127.0.0.1", f"* 127.0.0.1::{first.port}:127.0.0.1::{second.port}")
        world = World(tmp_path, routers, smtp(first.port))
        message = with_extensions(world, Extensions(by=START + 600, by_mode="R"))
        log = world.again(message.id)
    assert any(line.startswith("=> x@dom.example") for line in log), log
    assert (len(first.messages), len(second.messages)) == (0, 1)


def test_mode_n_to_a_host_that_knows_nothing_of_it_is_told(tmp_path: Path) -> None:
    with Sink() as sink:
        world = World(tmp_path, SMTP, smtp(sink.port))
        message = with_extensions(world, Extensions(by=START + 600, by_mode="N"))
        world.again(message.id)
    assert " BY=" not in mail_command(sink)
    fields = report_fields(world.sent[0])
    assert (fields["Action"], "Deliver-By-Date" in fields) == ("relayed", True)


@pytest.mark.parametrize(("flags", "actions"), [(DSN_NOTIFY_NEVER, []), (DSN_NOTIFY_SUCCESS, ["delivered"])])
def test_notify_decides_about_the_relayed_notice(tmp_path: Path, flags: int, actions: list[str]) -> None:
    with Sink() as sink:
        world = World(tmp_path, SMTP, smtp(sink.port))
        message = with_extensions(world, Extensions(by=START + 600, by_mode="N"))
        message.recipients[0].dsn_flags = flags
        world.services.store.update(message)
        world.again(message.id)
    assert [report_fields(text)["Action"] for text in world.sent] == actions


def test_mode_r_goes_back_when_its_time_is_over(tmp_path: Path) -> None:
    world = World(tmp_path, DEFER)
    message = with_extensions(world, Extensions(by=START + 600, by_mode="R"))
    world.again(message.id)
    assert world.sent == []
    world.clock.time += 601
    assert "** x@dom.example : delivery time expired" in world.again(message.id)
    fields = report_fields(world.sent[0])
    assert (fields["Action"], fields["Status"]) == ("failed", "5.4.7")
    assert "Deliver-By-Date" in fields
    assert not world.services.store.exists(message.id)


def test_mode_n_tells_once_when_its_time_is_over_and_goes_on(tmp_path: Path) -> None:
    world = World(tmp_path, DEFER, main="delay_warning =\n")
    message = with_extensions(world, Extensions(by=START + 600, by_mode="N"))
    world.again(message.id)
    world.clock.time += 601
    for _ in range(2):
        world.again(message.id)
    assert [(report_fields(text)["Action"], report_fields(text)["Status"]) for text in world.sent] == [("delayed", "4.4.7")]
    assert world.services.store.exists(message.id)


# --- MT-PRIORITY ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "parameter"), [(ALL, " MT-PRIORITY=-4"), ((), "")])
def test_the_priority_is_passed_on(tmp_path: Path, words: tuple[str, ...], parameter: str) -> None:
    with Sink(ehlo=words) as sink:
        world = World(tmp_path, SMTP, smtp(sink.port))
        world.again(with_extensions(world, Extensions(priority=-4)).id)
    assert mail_command(sink) == parameter


# --- REQUIRETLS -------------------------------------------------------------------------------------------------------------

NAMED = "r:\n  driver = manualroute\n  route_list = * server1.example.com\n  self = send\n  transport = t\n"
BY_MX = "r:\n  driver = dnslookup\n  self = send\n  ignore_target_hosts =\n  transport = t\n"
ZONES: dict[str, list[Any]] = {
    "dom.example": [{"MX": [10, "server1.example.com"]}],
    "server1.example.com": [{"A": "127.0.0.1"}],
    "other.example.com": [{"A": "127.0.0.1"}],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("tls"))


def secure(made: Made, words: tuple[str, ...] = ("REQUIRETLS", "DSN")) -> Sink:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.keyfile)
    return Sink(tls=context, ehlo_tls=words)


def trusting(made: Made, sink: Sink) -> str:
    return smtp(sink.port, f"  tls_verify_certificates = {made.cafile}\n  allow_localhost\n")


def test_requiretls_goes_to_a_host_that_is_what_it_says(tmp_path: Path, made: Made) -> None:
    with secure(made) as sink:
        world = World(tmp_path, NAMED, trusting(made, sink), zones=ZONES)
        message = with_extensions(world, Extensions(requiretls=True))
        message.dsn_ret = DSN_RET_FULL
        world.services.store.update(message)
        log = world.again(message.id)
    assert mail_command(sink).endswith(" RET=HDRS REQUIRETLS"), log
    assert any(line.startswith("=> x@dom.example") and " CV=yes" in line and " RTLS " in line for line in log), log


def failing(world: World) -> tuple[str, str]:
    """Status of the bounce, and the log."""
    log = world.again(with_extensions(world, Extensions(requiretls=True), text="Subject: s\n\nsecret body\n").id)
    assert len(world.sent) == 1, log
    assert "secret body" not in world.sent[0]
    return report_fields(world.sent[0])["Status"], "\n".join(log)


def test_a_host_without_requiretls(tmp_path: Path, made: Made) -> None:
    with secure(made, ("DSN",)) as sink:
        status, log = failing(World(tmp_path, NAMED, trusting(made, sink), zones=ZONES))
    assert status == "5.7.30"
    assert "REQUIRETLS support required but not offered" in log
    assert sink.messages == []


def test_a_host_without_tls(tmp_path: Path, made: Made) -> None:
    with Sink(ehlo=("REQUIRETLS",)) as sink:
        transport = trusting(made, sink) + "  hosts_avoid_tls = *\n"
        status, log = failing(World(tmp_path, NAMED, transport, zones=ZONES))
    assert status == "5.7.10"
    assert "a TLS session is required, but the server did not offer TLS support" in log


@pytest.mark.parametrize("case", ["unknown authority", "another name"])
def test_a_certificate_that_cannot_be_verified(tmp_path: Path, made: Made, case: str) -> None:
    """However lenient the transport is with other mail."""
    lenient = "  tls_try_verify_hosts = *\n  tls_verify_cert_hostnames =\n"
    with secure(made) as sink:
        routers, transport = NAMED, trusting(made, sink) + lenient
        if case == "another name":
            routers = routers.replace("server1", "other")
        else:
            transport = smtp(sink.port, lenient)
        status, _ = failing(World(tmp_path, routers, transport, zones=ZONES))
    assert status == "5.7.10"
    assert sink.messages == []


def test_mx_records_that_nothing_proves(tmp_path: Path, made: Made) -> None:
    with secure(made) as sink:
        status, log = failing(World(tmp_path, BY_MX, trusting(made, sink), zones=ZONES))
    assert status == "5.7.10"
    assert "nothing proves that server1.example.com is the right host" in log
    assert sink.connections == 0


POLICIES = [
    ("enforce", "server1.example.com", True),
    ("testing", "server1.example.com", False),
    ("enforce", "mx.example.com", False),
]


@pytest.mark.parametrize(("mode", "mx", "good"), POLICIES)
def test_mx_records_that_an_mta_sts_policy_proves(tmp_path: Path, made: Made, mode: str, mx: str, good: bool) -> None:
    """RFC 8689 4.2.1: only an enforced one does, and a message that cannot go anywhere goes back at once."""
    zones = {**ZONES, "_mta-sts.dom.example": [{"TXT": "v=STSv1; id=1"}]}
    with secure(made) as sink:
        world = World(tmp_path, BY_MX, trusting(made, sink) + "  hosts_try_mta_sts = *\n", zones=zones)
        now = world.clock.now()
        kept = {"id": "1", "mode": mode, "mx": [mx], "max_age": 86400, "fetched": now, "used": now, "tried": now, "tried_id": "1"}
        world.services.hints.put("mta_sts", "dom.example", kept)
        if not good:
            assert failing(world)[0] == "5.7.10"
        else:
            log = world.again(with_extensions(world, Extensions(requiretls=True)).id)
            assert any("=> x@dom.example" in line and " CV=sts" in line and " RTLS " in line for line in log), log
    assert bool(sink.messages) == good


def test_requiretls_asks_for_the_policy_without_options(tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding("dom.example", Policy("enforce", ("server1.example.com",), 86400), "1")
    monkeypatch.setattr("angaros.net.mta_sts_cache.find", lambda domain, scope: finding)
    with secure(made) as sink:
        world = World(tmp_path, BY_MX, trusting(made, sink), zones=ZONES)
        log = world.again(with_extensions(world, Extensions(requiretls=True)).id)
    assert any(line.startswith("=> x@dom.example") and " RTLS " in line for line in log), log


def test_a_bounce_goes_on_to_a_host_without_requiretls(tmp_path: Path, made: Made) -> None:
    with secure(made, ()) as sink:
        world = World(tmp_path, NAMED, trusting(made, sink), zones=ZONES)
        log = world.again(with_extensions(world, Extensions(requiretls=True), sender="").id)
    assert any(line.startswith("=> x@dom.example") for line in log), log


def test_a_bounce_inherits_requiretls_and_the_priority(tmp_path: Path) -> None:
    world = World(tmp_path, "r:\n  driver = redirect\n  allow_fail\n  data = :fail: no\n", "")
    kept: list[Message] = []
    start = world._start

    def keep(message: Message, lock: Any, foreground: bool) -> None:
        kept.append(message)
        start(message, lock, foreground)

    world.services.hooks.start_delivery = keep
    world.again(with_extensions(world, Extensions(release=5, by=START + 60, by_mode="N", priority=3, requiretls=True)).id)
    assert kept[-1].extensions == Extensions(priority=3, requiretls=True)


TLS_NO = "Subject: x\nTLS-Required: No\n\nbody\n"


@pytest.mark.parametrize(("option", "delivered"), [("tls_required_header\n", True), ("", False)])
def test_tls_required_no(tmp_path: Path, made: Made, option: str, delivered: bool) -> None:
    """With the option, verification by default does not stop the message; what the administrator wants still does."""
    for more, good in (("  tls_try_verify_hosts =\n", delivered), ("  tls_verify_hosts = *\n", False)):
        with secure(made) as sink:
            world = World(tmp_path, NAMED, smtp(sink.port, "  tls_tempfail_tryclear = no\n" + more), main=option, zones=ZONES)
            log = world.deliver(text=TLS_NO)
        assert any(line.startswith("=> x") for line in log) == good, log


def test_requiretls_is_stronger_than_the_header(tmp_path: Path, made: Made) -> None:
    with secure(made) as sink:
        world = World(tmp_path, NAMED, smtp(sink.port), main="tls_required_header\n", zones=ZONES)
        world.again(with_extensions(world, Extensions(requiretls=True), text=TLS_NO).id)
    assert sink.messages == []
    assert report_fields(world.sent[0])["Status"] == "5.7.10"
