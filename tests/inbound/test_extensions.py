"""FUTURERELEASE, DELIVERBY, MT-PRIORITY, REQUIRETLS as a server: offer, parameters, spool, log. RFC 4865, 2852, 6710, 8689."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from angaros.inbound.extensions import parse_date_time
from angaros.inbound.options import LocalCaller, Submission
from angaros.inbound.submission import submit
from angaros.model.extensions import Extensions
from angaros.model.tls import TlsFacts
from angaros.spool.listing import Listing, list_queue
from tests.inbound.smtp_world import START, FakeStream, Talk, World

Make = Callable[..., World]
NOW = int(START)
ALL = """
acl_smtp_rcpt = accept
futurerelease_advertise_hosts = *
deliverby_advertise_hosts = *
mt_priority_advertise_hosts = *
mt_priority_max = 4
requiretls_advertise_hosts = *
"""


def greeted(world: World, *, tls: bool = True) -> Talk:
    s = world.connect()
    if tls:
        s.conversation.session.tls = TlsFacts(cipher="x")
    s.say("EHLO client.test")
    return s


def extensions(world: World) -> Extensions:
    found = world.spooled()[0][0].extensions
    assert found is not None
    return found


def test_nothing_is_offered_by_default(world: World) -> None:
    s = greeted(world)
    words = " ".join(s.say("EHLO client.test"))
    assert not re.search("FUTURERELEASE|DELIVERBY|MT-PRIORITY|REQUIRETLS|ENHANCEDSTATUSCODES", words)
    for parameter in ("HOLDFOR=5", "BY=60;R", "MT-PRIORITY=3", "REQUIRETLS"):
        assert s.code(f"MAIL FROM:<s@far.test> {parameter}") == "501"


def test_offers(make_world: Make) -> None:
    s = greeted(make_world(main=ALL))
    words = [line[4:] for line in s.say("EHLO client.test")]
    assert "FUTURERELEASE 604800 2026-11-28T06:20:37Z" in words
    assert {"DELIVERBY 60", "MT-PRIORITY", "REQUIRETLS"} <= set(words)


def test_requiretls_is_offered_over_tls_only(make_world: Make) -> None:
    s = greeted(make_world(main=ALL), tls=False)
    assert "REQUIRETLS" not in " ".join(s.say("EHLO client.test"))
    assert s.code("MAIL FROM:<s@far.test> REQUIRETLS") == "501"


def test_a_host_that_is_not_in_the_list(make_world: Make) -> None:
    s = make_world(main="acl_smtp_rcpt = accept\nfuturerelease_advertise_hosts = 192.0.2.99\n").greeted()
    assert "FUTURERELEASE" not in " ".join(s.say("EHLO client.test"))


# --- Parameters -------------------------------------------------------------------------------------------------------------

WRONG = {
    "HOLDFOR=": "invalid data for HOLDFOR",
    "HOLDFOR=1x": "invalid data for HOLDFOR",
    "HOLDFOR=-1": "invalid data for HOLDFOR",
    "HOLDFOR=1234567890": "invalid data for HOLDFOR",
    "HOLDFOR=604801": "a message can be held for 604800 seconds at most",
    "HOLDUNTIL=tomorrow": "invalid data for HOLDUNTIL",
    "HOLDUNTIL=2026-13-01T00:00:00Z": "invalid data for HOLDUNTIL",
    "HOLDUNTIL=2027-01-01T00:00:00Z": "a message can be held for 604800 seconds at most",
    "HOLDFOR=60 HOLDUNTIL=2026-11-21T07:00:00Z": "HOLDFOR or HOLDUNTIL can be specified once only",
    "BY=60": "invalid data for BY",
    "BY=60;X": "invalid data for BY",
    "BY=0;R": "BY must be positive with R",
    "BY=-1;R": "BY must be positive with R",
    "BY=59;R": "BY must be at least 60 with R",
    "BY=60;R BY=60;N": "BY can be specified once only",
    "HOLDFOR=600 BY=600;R": "the message would be held longer than BY allows",
    "MT-PRIORITY=10": "invalid data for MT-PRIORITY",
    "MT-PRIORITY=+3": "invalid data for MT-PRIORITY",
    "MT-PRIORITY=-0": "invalid data for MT-PRIORITY",
    "MT-PRIORITY=1 MT-PRIORITY=2": "MT-PRIORITY can be specified once only",
}


@pytest.mark.parametrize("parameters", WRONG)
def test_wrong_parameters(make_world: Make, parameters: str) -> None:
    s = greeted(make_world(main=ALL))
    assert s.say(f"MAIL FROM:<s@far.test> {parameters}") == [f"501 5.5.4 {WRONG[parameters]}"]


RIGHT = {
    "HOLDFOR=600": Extensions(release=NOW + 600),
    "holduntil=2026-11-21T06:30:37Z": Extensions(release=NOW + 600),
    "HOLDUNTIL=2026-11-21T08:30:37.5+02:00": Extensions(release=NOW + 600),
    "HOLDUNTIL=2020-01-01T00:00:00Z": Extensions(release=1577836800),
    "BY=60;R": Extensions(by=NOW + 60, by_mode="R"),
    "BY=-30;nt": Extensions(by=NOW - 30, by_mode="N", by_trace=True),
    "MT-PRIORITY=-9": Extensions(priority=-9),
    "MT-PRIORITY=4": Extensions(priority=4),
    "REQUIRETLS": Extensions(requiretls=True),
    "HOLDFOR=10 BY=90;RT MT-PRIORITY=0 REQUIRETLS": Extensions(NOW + 10, NOW + 90, "R", True, False, 0, True),
}


@pytest.mark.parametrize("parameters", RIGHT)
def test_parameters_are_kept_in_the_spool(make_world: Make, parameters: str) -> None:
    world = make_world(main=ALL)
    s = greeted(world)
    s.say(f"MAIL FROM:<s@far.test> {parameters}", "RCPT TO:<r@here.test>")
    assert s.message()[-1].startswith("250 OK id=")
    assert extensions(world) == RIGHT[parameters]


def test_a_message_without_parameters_keeps_nothing(make_world: Make) -> None:
    world = make_world(main=ALL)
    s = greeted(world)
    s.say("MAIL FROM:<s@far.test> HOLDFOR=600", "RSET")
    s.mail()
    s.message()
    assert world.spooled()[0][0].extensions is None
    assert b"angaros_esmtp" not in (world.path / "spool" / "input" / world.files()[1]).read_bytes()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-21T06:20:37z", NOW),
        ("2026-11-21T00:50:37-05:30", NOW),
        ("2026-11-21T06:20:37", None),
        ("2026-02-29T00:00:00Z", None),
        ("1969-12-31T23:59:59Z", None),
    ],
)
def test_date_and_time(text: str, moment: int | None) -> None:
    assert parse_date_time(text) == moment


# --- FUTURERELEASE ----------------------------------------------------------------------------------------------------------


def test_a_held_message_is_not_delivered_and_the_queue_shows_it(make_world: Make) -> None:
    world = make_world(main=ALL)
    s = greeted(world)
    s.say("MAIL FROM:<s@far.test> HOLDFOR=600", "RCPT TO:<r@here.test>")
    s.message()
    assert world.delivered == []
    assert "no immediate delivery: held until 2026-11-21 06:30:37 +0000" in "\n".join(world.log())
    assert " HOLD=2026-11-21T06:30:37Z S=" in "\n".join(world.log())
    form = Listing.of("")
    assert "<s@far.test> *** held until 2026-11-21 06:30:37 ***\n" in "".join(list_queue(world.services.store, form, START + 1))
    assert "held" not in "".join(list_queue(world.services.store, form, START + 601))


def test_cutthrough_is_off_for_a_message_with_extensions(make_world: Make) -> None:
    world = make_world(main=ALL.replace("rcpt = accept", "rcpt = probe"), acl="probe:\n accept control = cutthrough_delivery\n")
    s = greeted(world)
    s.say("MAIL FROM:<s@far.test> HOLDFOR=600", "RCPT TO:<r@here.test>")
    assert s.conversation.message.effects.cutthrough is False


# --- MT-PRIORITY ------------------------------------------------------------------------------------------------------------


def test_a_priority_beyond_the_limit_is_brought_down(make_world: Make) -> None:
    world = make_world(main=ALL + "acl_smtp_mail = probe\n", acl="probe:\n accept logwrite = priority $mt_priority\n")
    s = greeted(world)
    assert s.say("MAIL FROM:<s@far.test> MT-PRIORITY=9") == ["250 4 is the new priority assigned to the message"]
    assert "priority 4" in world.log()


def test_an_unauthenticated_client_gets_no_priority_by_default(make_world: Make) -> None:
    s = greeted(make_world(main=ALL.replace("mt_priority_max = 4\n", "")))
    assert s.say("MAIL FROM:<s@far.test> MT-PRIORITY=1") == ["250 0 is the new priority assigned to the message"]
    s.conversation.session.sender_host_authenticated = "plain"
    assert s.say("RSET", "MAIL FROM:<s@far.test> MT-PRIORITY=9")[-1] == "250 OK"


HEADER = "MT-Priority: 3\r\nSubject: x\r\n\r\nbody\r\n"


@pytest.mark.parametrize(
    ("hosts", "parameter", "priority", "stays"),
    [
        ("192.0.2.7", "", 3, False),
        ("192.0.2.7", " MT-PRIORITY=1", 1, False),
        ("192.0.2.8", "", None, False),
        ("", "", None, True),
    ],
)
def test_the_header_counts_for_trusted_hosts_only(
    make_world: Make, hosts: str, parameter: str, priority: int | None, stays: bool
) -> None:
    world = make_world(main=ALL + (f"mt_priority_header_hosts = {hosts}\n" if hosts else ""))
    s = greeted(world)
    s.say(f"MAIL FROM:<s@far.test>{parameter}", "RCPT TO:<r@here.test>")
    s.message(HEADER)
    message = world.spooled()[0][0]
    assert (message.extensions.priority if message.extensions else None) == priority
    assert bool(message.headers_named("mt-priority")) == stays


@pytest.mark.parametrize(("trusted", "priority"), [(True, 3), (False, None)])
def test_the_header_of_a_local_message(make_world: Make, trusted: bool, priority: int | None) -> None:
    world = make_world(main="mt_priority_header_hosts = :\n")
    stream = FakeStream("", 0)
    stream.ready, stream.at_end = HEADER.replace("\r\n", "\n").encode(), True
    caller = LocalCaller(1234, 1234, "joe", "Joe Doe", trusted=trusted, admin=False)
    assert submit(world.services, Submission(caller=caller, recipients=["r@here.test"]), stream) == 0
    message = world.spooled()[0][0]
    assert (message.extensions.priority if message.extensions else None) == priority


def test_the_queue_is_taken_in_the_order_of_priorities(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from angaros.delivery import runner
    from angaros.delivery.options import DeliverStatus
    from angaros.model.queue_run import QueueRun

    world = make_world(main=ALL + "queue_only\nqueue_run_in_order\n")
    s = greeted(world)
    for parameter in ("", " MT-PRIORITY=-3", " HOLDFOR=5 MT-PRIORITY=4", " MT-PRIORITY=2"):
        s.say(f"MAIL FROM:<s@far.test>{parameter}", "RCPT TO:<r@here.test>")
        s.message()
    ids = [entry.message_id for entry in world.services.store.scan(ordered=True)]
    taken: list[str] = []

    def deliver(services: object, message_id: str, options: object, queue_name: str = "") -> DeliverStatus:
        taken.append(message_id)
        return DeliverStatus.KEPT

    monkeypatch.setattr(runner, "deliver_message", deliver)
    runner.run_queue(world.services, QueueRun())
    assert taken == [ids[2], ids[3], ids[0], ids[1]]


def test_policy_sees_all_of_it(make_world: Make) -> None:
    text = "$hold_until $deliver_by $deliver_by_mode $mt_priority $requiretls"
    world = make_world(main=ALL + "acl_smtp_mail = probe\n", acl=f"probe:\n accept logwrite = sees {text}\n")
    greeted(world).say("MAIL FROM:<s@far.test> HOLDFOR=10 BY=90;N MT-PRIORITY=2 REQUIRETLS")
    assert f"sees {NOW + 10} {NOW + 90} N 2 yes" in world.log()


# --- Enhanced status codes --------------------------------------------------------------------------------------------------

DIALOGUE = [
    ("NOOP", "250 2.0.0 OK"),
    ("FROB", "500 5.5.2 unrecognized command"),
    ("DATA", "503 5.5.1 valid RCPT command must precede DATA"),
    ("MAIL FROM:<x y@>", "501 5.1.7 "),
    ("MAIL FROM:<s@far.test>", "250 2.1.0 OK"),
    ("MAIL FROM:<s@far.test>", "503 5.5.1 sender already given"),
    ("RCPT TO:<@@>", "501 5.1.3 "),
    ("RCPT TO:<no@here.test>", "550 5.7.1 Administrative prohibition"),
    ("RCPT TO:<own@here.test>", "550 5.1.1 nobody here"),
    ("RCPT TO:<later@here.test>", "451 4.7.1 "),
    ("RCPT TO:<r@here.test>", "250 2.1.5 Accepted"),
    ("VRFY r@here.test", "252 2.0.0 "),
    ("DATA", "354 Enter message"),
    ("Subject: x\r\n\r\nb\r\n.", "250 2.6.0 OK id="),
    ("RSET", "250 2.0.0 Reset OK"),
    ("QUIT", "221 2.0.0 here.test closing connection"),
]


def test_every_reply_has_an_enhanced_status_code(make_world: Make) -> None:
    world = make_world(
        main="enhancedstatuscodes_advertise_hosts = *\nacl_smtp_rcpt = probe\nsmtp_max_synprot_errors = 20\n",
        acl="""probe:
  deny local_parts = no
  deny local_parts = own
       message = 550 5.1.1 nobody here
  defer local_parts = later
  accept
""",
    )
    s = world.connect()
    assert s.greeting[0].startswith("220 here.test")
    hello = s.say("EHLO client.test")
    assert "250-ENHANCEDSTATUSCODES" in hello
    assert hello[0].startswith("250-here.test Hello")
    for line, reply in DIALOGUE:
        assert s.say(line)[-1].startswith(reply), line
    assert all(re.match(r"214[ -]2\.0\.0 ", line) for line in world.greeted().say("HELP"))
