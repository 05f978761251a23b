"""DMARC beside OpenDMARC: verdicts of libopendmarc, and our history file in the hands of opendmarc-import."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from angaros.mailauth.dmarc import Evidence, ListFinder, judge
from angaros.mailauth.public_suffixes import PublicSuffixes
from angaros.model.mailauth import ArcResult, ArcSet, DkimResult
from tests.mailauth.zones import Zones
from tests.policy import NOW, PolicyWorld

pytestmark = pytest.mark.peers

RECORDS = {
    "strict.example": "v=DMARC1; p=reject; adkim=s; aspf=s",
    "relaxed.example": "v=DMARC1; p=quarantine; sp=reject",
    "watch.example": "v=DMARC1; p=none; rua=mailto:a@watch.example",
    "mixed.example": "v=DMARC1; p=reject; aspf=s",
}
AUTHORS = [*RECORDS, "sub.relaxed.example", "a.b.mixed.example", "x.watch.example"]
_SOCKADDR_IN = 16
_PASS, _FAIL = 1, 2
_STATUS = {15: "accept", 16: "reject", 17: "quarantine", 18: "none", 14: "norecord"}


class _Settings(ctypes.Structure):
    """OPENDMARC_LIB_T of dmarc.h."""

    _fields_ = [
        ("tld_type", ctypes.c_int),
        ("tld_source_file", ctypes.c_char * 4096),
        ("nscount", ctypes.c_int),
        ("nsaddr_list", ctypes.c_char * (_SOCKADDR_IN * 3)),
    ]


class OpenDmarc:
    """The library, which is given the records."""

    def __init__(self, path: Path) -> None:
        try:
            self.library = ctypes.CDLL("libopendmarc.so.2")
        except OSError:
            pytest.skip("Debian package libopendmarc2 is missing")
        self.library.opendmarc_policy_connect_init.restype = ctypes.c_void_p
        self.settings = _Settings(tld_type=1, tld_source_file=str(path).encode())
        assert self.library.opendmarc_policy_library_init(ctypes.byref(self.settings)) == 0

    def judge(self, author: str, spf: str, dkim: str) -> tuple[str, bool, bool]:
        """Status, SPF aligned, DKIM aligned."""
        library = self.library
        context = ctypes.c_void_p(library.opendmarc_policy_connect_init(b"192.0.2.1", 4))
        try:
            library.opendmarc_policy_store_from_domain(context, author.encode())
            library.opendmarc_policy_store_spf(context, (spf or "none.example").encode(), _PASS if spf else _FAIL, 1, b"")
            if dkim:
                library.opendmarc_policy_store_dkim(context, dkim.encode(), b"sel", _PASS, b"")
            organization = ".".join(author.split(".")[-2:])
            library.opendmarc_policy_store_dmarc(
                context,
                RECORDS[organization].encode(),
                author.encode(),
                organization.encode() if author != organization else None,
            )
            status = library.opendmarc_get_policy_to_enforce(context)
            aligned = (ctypes.c_int(), ctypes.c_int())
            library.opendmarc_policy_fetch_alignment(context, ctypes.byref(aligned[0]), ctypes.byref(aligned[1]))
            return _STATUS[status], aligned[1].value == 4, aligned[0].value == 4
        finally:
            library.opendmarc_policy_connect_shutdown(context)


@pytest.fixture(scope="module")
def suffixes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dmarc") / "tlds"
    path.write_text("com\nexample\n")
    return path


def cases() -> Iterator[tuple[str, str, str]]:
    domains = ("", "{}", "mail.{}", "relaxed.example", "strict.example", "other.example", "sub.mixed.example")
    for author, spf, dkim in itertools.product(AUTHORS, domains, domains):
        yield author, spf.format(author), dkim.format(author)


def test_verdicts(suffixes: Path) -> None:
    oracle = OpenDmarc(suffixes)
    zones = Zones({f"_dmarc.{name}": [{"TXT": text}] for name, text in RECORDS.items()})
    finder = ListFinder(PublicSuffixes(str(suffixes)), zones)
    different = []
    for author, spf, dkim in cases():
        found = judge(author, Evidence(spf, (dkim,) if dkim else ()), finder, lambda: 0)
        ours = (found.status, found.spf_aligned, found.dkim_aligned)
        theirs = oracle.judge(author, spf, dkim)
        if ours != theirs and not _lax(author, spf, dkim):
            different.append((author, spf, dkim, ours, theirs))
    assert different == []


def _lax(author: str, spf: str, dkim: str) -> bool:
    """RFC 7489 3.1.1, 3.1.2: in strict mode only an exact match counts; libopendmarc 1.4.2 takes subdomains too
    (its own opendmarc_policy_check_alignment does not)."""
    record = RECORDS.get(author, "")
    return ("aspf=s" in record and spf.endswith(f".{author}")) or ("adkim=s" in record and dkim.endswith(f".{author}"))


DBI = r"""
package DBI;  # remembers what is put into the database
use JSON;
our (%ids, $last) = ();
sub connect { return bless {}, shift }
sub prepare { my ($self, $sql) = @_; $sql =~ s/\s+/ /g; return bless { sql => $sql }, 'DBI' }
sub execute {
    my ($self, @values) = @_;
    $self->{row} = undef;
    if ($self->{sql} =~ /^ ?INSERT INTO (\w+)/) {
        open(my $out, '>>', $ENV{DBI_OUT});
        print $out encode_json([$1, map { defined $_ ? "$_" : undef } @values]), "\n";
        $last++;
    } elsif ($self->{sql} =~ /LAST_INSERT_ID/) {
        $self->{row} = [$last];
    } elsif ($self->{sql} =~ /locked/) {
        $self->{row} = [0];
    } elsif ($self->{sql} =~ /^ ?SELECT/) {
        $self->{row} = [$values[0]];
    }
    return 1;
}
sub fetchrow_arrayref { my $self = shift; my $row = $self->{row}; $self->{row} = undef; return $row }
sub finish { } sub disconnect { } sub errstr { 'none' }
our $errstr = 'none';
1;
"""


def test_opendmarc_import_reads_our_history(tmp_path: Path, suffixes: Path) -> None:
    program = shutil.which("opendmarc-import", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or subprocess.run(["perl", "-MSwitch", "-MJSON", "-e1"], capture_output=True, check=False).returncode:
        pytest.skip("Debian packages opendmarc, libswitch-perl, libjson-perl are missing")
    zones: dict[str, list[Any]] = {
        "_dmarc.watch.example": [{"TXT": RECORDS["watch.example"]}],
        "watch.example": [{"SPF": "v=spf1 ip4:192.0.2.1 -all"}],
    }
    config = (
        f"dmarc_tld_file = {suffixes}\ndmarc_history_file = {tmp_path}/history\ndmarc_history_json\n"
        "begin acl\ndata:\n  warn spf = *\n  accept dmarc_status = *\n"
    )
    w = PolicyWorld(tmp_path, config, zones)
    for number, sender in enumerate(("joe@watch.example", "joe@other.example")):
        w.new_message(sender)
        w.message.id = f"job{number}"
        w.receive("From: z@watch.example\n")
        w.message.effects.mailauth.dkim = [DkimResult("other.example", "sel", status="fail", result="permerror")]
        w.message.effects.mailauth.arc = ArcResult("pass", sets=[ArcSet(1, "seal.example", "s", "192.0.2.9")])
        w.run("data")
    (tmp_path / "lib/DBD").mkdir(parents=True)
    (tmp_path / "lib/DBI.pm").write_text(DBI)
    (tmp_path / "lib/DBD/mysql.pm").write_text("1;\n")
    environment = {**os.environ, "PERL5LIB": str(tmp_path / "lib"), "DBI_OUT": str(tmp_path / "rows")}
    done = subprocess.run([program, f"--input={tmp_path}/history"], capture_output=True, text=True, env=environment, check=False)
    assert not done.stderr, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    messages = [row[1:] for row in rows if row[0] == "messages"]
    # date, jobid, reporter, policy, disp, ip, env, from and policy domain, spf, align_spf, align_dkim, sigcount, arc, arc_policy
    client, author = "192.0.2.1", "watch.example"
    assert messages == [
        [str(int(NOW)), "job0", "mx.example", "15", "2", client, author, author, author, "0", "4", "5", "1", "0", "0"],
        [str(int(NOW)), "job1", "mx.example", "18", "2", client, "other.example", author, author, "6", "5", "5", "1", "0", "0"],
    ]
    assert [row[2:] for row in rows if row[0] == "signatures"] == [["other.example", "sel", "5", "1"]] * 2
    assert [row[2:] for row in rows if row[0] == "arcauthresults"] == [["1", "192.0.2.9"]] * 2
    assert [row[2:] for row in rows if row[0] == "arcseals"] == [["seal.example", "s", "1"]] * 2
