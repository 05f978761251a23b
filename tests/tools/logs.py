"""Log text made up at random, by the rules of Exim spec 53: for tests that compare figures."""

from __future__ import annotations

import random

from angaros.spool.ids import base62

HOSTS = ("mx.one.example", "mail.two.example.org", "(helo.three.example)", "four.example", "")
DOMAINS = ("one.example", "two.example", "Three.Example", "four.example")
REASONS = (
    "F=<{s}> rejected RCPT <{r}>: relay not permitted",
    "F=<{s}> temporarily rejected RCPT <{r}>: greylisted",
    "F=<{s}> rejected after DATA: This message contains a virus (X)",
    "rejected MAIL <{s}>: no such host",
    "rejected EHLO or HELO foo: syntactically invalid",
)


def message_id(number: int, short: bool) -> str:
    head = f"1vA{base62(number, 3)}"
    return f"{head}-{base62(number * 7, 6)}-01" if short else f"{head}-{base62(number * 7, 11)}-0001"


class Maker:
    """Makes the lines of a day."""

    def __init__(self, seed: int, short: bool) -> None:
        self._random = random.Random(seed)
        self._short = short
        self._entries: list[tuple[int, str]] = []

    def _add(self, second: int, text: str) -> None:
        clock = f"{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        self._entries.append((second, f"2026-11-20 {clock} {text}\n"))

    def _address(self) -> str:
        return f"{self._random.choice('abcdefgh')}{self._random.randrange(9)}@{self._random.choice(DOMAINS)}"

    def _host(self) -> str:
        name = self._random.choice(HOSTS)
        return f"H={name + ' ' if name else ''}[192.0.2.{self._random.randrange(1, 9)}]"

    def _deliver(self, one: str, second: int) -> int:
        pick = self._random
        for _ in range(pick.randrange(1, 4)):
            second += pick.randrange(1, 40)
            kind = pick.randrange(8)
            if kind < 3:
                user = f"u{pick.randrange(5)}"
                self._add(second, f"{one} => {user} <{user}@local.example> R=localuser T=local_delivery")
            elif kind < 6:
                host = f"H=mx{pick.randrange(4)}.remote.example [198.51.100.{pick.randrange(1, 5)}]"
                self._add(second, f'{one} => {self._address()} R=dnslookup T=remote_smtp {host} C="250 OK"')
                if kind == 5:
                    self._add(second, f'{one} -> {self._address()} R=dnslookup T=remote_smtp {host} C="250 OK"')
            elif kind == 6:
                self._add(second, f"{one} == {self._address()} R=dnslookup T=remote_smtp defer (-53): retry time not reached")
                second += pick.randrange(100, 9000)
            else:
                self._add(second, f"{one} ** {self._address()} R=dnslookup T=remote_smtp: 550 no such user here")
        return second

    def message(self, number: int) -> None:
        pick, second = self._random, self._random.randrange(60000)
        one = message_id(number, self._short)
        if pick.random() < 0.3:
            self._add(second, f"{one} <= root@local.example U=root P=local S={pick.randrange(300, 90000)}")
        else:
            sender = "<>" if pick.random() < 0.1 else self._address()
            self._add(second, f"{one} <= {sender} {self._host()} P=esmtp S={pick.randrange(300, 90000)} id=x@y")
        second = self._deliver(one, second)
        if pick.random() < 0.9:
            self._add(second, f"{one} Completed")

    def rejection(self) -> None:
        text = self._random.choice(REASONS).format(s=self._address(), r=self._address())
        self._add(self._random.randrange(60000), f"{self._host()} {text}")

    def text(self, messages: int, rejections: int) -> str:
        for number in range(messages):
            self.message(number)
        for _ in range(rejections):
            self.rejection()
        self._entries.sort(key=lambda entry: entry[0])
        return "".join(line for _, line in self._entries)


def day(seed: int, *, short: bool = True, messages: int = 60, rejections: int = 25) -> str:
    """A day's log."""
    return Maker(seed, short).text(messages, rejections)
