"""`${perl{sub}{arg}...}`: Perl in a process beside us. # Exim spec 12

`perl_startup` is run when the process starts; `perl_taintmode` gives it -T. Subroutines may call `Exim::expand_string`,
`Exim::debug_write`, `Exim::log_write`. State of the Perl program lives as long as its process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from angaros.expand.coprocess import Coprocess, Dead, Pool
from angaros.expand.limits import permitted
from angaros.expand.nodes import Call, Node, fail
from angaros.expand.parser import Parser
from angaros.model.errors import ForcedFailure

if TYPE_CHECKING:
    from angaros.model.scope import Scope

PERL = "/usr/bin/perl"
MAX_ARGUMENTS = 9
"""The subroutine's name and eight arguments."""

CHILD = r"""
package Exim::Link;
open(my $in, '<&', \*STDIN) or die; open(my $out, '>&', \*STDOUT) or die;
binmode $in; binmode $out;
open(STDIN, '<', '/dev/null'); open(STDOUT, '>&', \*STDERR);
sub put { my ($kind, $text) = @_; $text = '' unless defined $text; utf8::encode($text) if utf8::is_utf8($text);
  my $data = $kind . pack('N', length $text) . $text;
  while (length $data) { my $n = syswrite($out, $data); exit 0 unless $n; substr($data, 0, $n) = ''; } }
sub need { my ($count) = @_; my $data = '';
  while (length($data) < $count) { my $n = sysread($in, $data, $count - length($data), length $data); exit 0 unless $n; }
  $data }
sub get { my $head = need(5); my ($kind, $length) = unpack('a N', $head); ($kind, need($length)) }
sub TIEHANDLE { my $x; bless \$x, shift }
sub PRINT { shift; put('O', join(defined $, ? $, : '', @_) . (defined $\ ? $\ : '')); 1 }
sub PRINTF { shift; my $f = shift; put('O', sprintf($f, @_)); 1 } sub WRITE { shift; put('O', $_[0]); length $_[0] }
sub FILENO { 1 } sub BINMODE { 1 } sub CLOSE { 1 }
sub Exim::expand_string { my ($text) = @_; put('X', $text); my ($kind, $answer) = get(); return $answer if $kind eq 'R';
  my (undef, $file, $line) = caller; die "syntax error in Exim::expand_string argument: $answer at $file line $line.\n" }
sub Exim::debug_write { put('D', join('', @_)) }
sub Exim::log_write { put('L', join('', @_)) }
$SIG{__WARN__} = sub { put('W', join('', @_)) };
tie *main::STDOUT, 'Exim::Link';
select main::STDOUT;
while (1) { my ($kind, $text) = get();
  if ($kind eq 'S') { ($text) = $text =~ /\A(.*)\z/s;
    package main; no strict; no warnings; eval $text; Exim::Link::put($@ eq '' ? 'R' : 'E', $@); }
  elsif ($kind eq 'C') { my ($name, @args) = unpack('(N/a)*', $text); $name = "main::$name" unless $name =~ /::|'/;
    ($name) = $name =~ /\A(.*)\z/s;
    no strict 'refs';
    if (!defined &$name) { put('E', "Undefined subroutine &$name called.\n"); next }
    my $result = eval { &$name(@args) };
    if ($@ ne '') { put('E', $@) } elsif (!defined $result) { put('U', '') } else { put('R', $result) } } }
"""
"""The Perl program: answers frames (see `expand.coprocess`)."""


def _start(scope: Scope) -> Coprocess:
    main = scope.services.config.main
    if not main.perl_startup:
        raise fail("A setting of perl_startup is needed when using the Perl interpreter")
    argv = [PERL, *(["-T"] if main.perl_taintmode else []), "-e", CHILD]
    try:
        process = Coprocess(scope.services.waiter.open_command(argv))
    except OSError as error:
        raise fail(f"cannot start {PERL}: {error.strerror}") from None
    try:
        process.send("S", main.perl_startup.encode("latin-1"))
        kind, text = pool(scope).converse(process, scope)
    except Dead as error:
        process.close()
        raise fail(f"Perl process died in perl_startup: {error}") from None
    if kind == "E":
        process.close()
        raise fail(text)
    return process


def pool(scope: Scope) -> Pool:
    """The Perl processes of these services."""
    found = scope.services.extra.get("perl")
    if found is None:
        found = scope.services.extra["perl"] = Pool("Perl", _start)
    assert isinstance(found, Pool)
    return found


def start_now(scope: Scope) -> None:
    """`perl_at_start`, `-ps`. Raises ExpansionError with Perl's message when `perl_startup` fails."""
    pool(scope).warm(scope)


def do_perl(arguments: list[str], scope: Scope) -> str:
    """# Exim spec 12.1"""
    permitted(scope, "perl")
    kind, text = pool(scope).call(arguments, scope)
    if kind == "U":
        raise ForcedFailure(f'Perl subroutine "{arguments[0]}" returned undef to force failure')
    if kind == "E":
        raise fail(text)
    return text


def parse_perl(p: Parser, name: str) -> Node:
    """# Exim spec 11.5 (perl)"""
    arguments = p.arguments(name, 1, MAX_ARGUMENTS)
    return p.unfinished(arguments) if p.broken else Call(do_perl, arguments)
