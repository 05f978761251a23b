"""A generator of expansion strings for `fuzz_expand.py`: every item, operator, condition and variable of the language's tables.

What differs from process to process (random numbers, times, process ids, the machine's load) is not generated, or only where its
value does not show (`def:`). `$value` stands only where something sets it: Exim's `-be` keeps it from line to line.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

from angaros.expand import variables
from angaros.expand.language import CONDITIONS, ITEMS, OPERATORS


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


PLAIN = (
    "a", "b", "abc", "x:y:z", "1", "2", "-1", "0", "10K", " ", "1.2.3.4", "::1", "a@b.c", "k=v w=x", "\\n", "\\x41", "[1,2]", "",
    "=?utf-8?q?caf=C3=A9?=", "caf\xe9", "caf\xc3\xa9", "xn--caf-dma", "a,b;c", "q\"u'o", "Mixed Case", "1d2h", "true", "no",
    "fe80::1/64", '{"a":"b","c":[1,"x"]}', "'<t@u.v>'", "10.0.0.0/8", "*.c", "YWJj", "616263", "^a(.)c", "(a|b)", "x@y, z@w",
    "<t@u.v>", "<; a;b",
)  # fmt: skip
OF_THE_MACHINE = frozenset(
    words(
        """caller_gid caller_uid compile_date compile_number initial_cwd load_average log_inodes log_space pid regex_cachesize
        spool_inodes spool_space tod_bsdinbox tod_epoch tod_epoch_l tod_full tod_log tod_logfile tod_zone tod_zulu message_age
        exim_version version_number queue_size received_time exim_path exim_uid exim_gid config_dir config_file"""
    )
)
"""What differs from run to run or from program to program: asked for with `def:` only."""
COMPARISONS = words(
    "eq eqi lt lti le lei gt gti ge gei = == < <= > >= inlist inlisti match match_domain match_local_part match_ip match_address"
)
ARGUMENT_FORMS = {
    "hash": ("hash_3", "hash_5_62", "hash_0", "hash"), "nhash": ("nhash_7", "nhash_3_5"), "length": ("length_2", "length_0"),
    "substr": ("substr_1", "substr_-2_1", "substr_1_2"), "l": ("l_2",), "s": ("s_1_1", "s_-1"), "h": ("h_2", "h_3_40"),
    "nh": ("nh_9",), "sha2": ("sha2", "sha2_384", "sha2_9"), "sha3": ("sha3", "sha3_512", "sha3_1"), "mask": ("mask", "mask_n"),
    "listnamed": ("listnamed", "listnamed_d", "listnamed_h"), "headerwrap": (), "xtextd": (), "randint": (),
    "stat": ("strlen:${stat",),
}  # fmt: skip
"""Operators with arguments after an underscore; none: not compared (newer than Exim 4.96, or random)."""
LOOKUPS = (
    "lsearch",
    "lsearch*",
    "partial-lsearch",
    "nwildlsearch",
    "wildlsearch",
    "iplsearch",
    "dsearch",
    "nosuch",
    "lsearch,ret=key",
)
DOMAINS = (
    "a.b.c",
    "caf\xc3\xa9.example",
    "xn--caf-dma.example",
    "caf\xe9",
    "A.b",
    "",
    "xn--caf-dma",
    "\xc3\xbcser",
    "a@b",
    "$h_x:",
)
"""For the operators of IDN: libraries differ in what they say of wrong ones."""
DAMAGE = ("", "}", "{", "$", "${", "\\", "fail", "{x}", ":", "x", "$h_", "${if ", "!")


class Generator:
    """Makes strings. `files`: a directory with the files that `fuzz_expand.prepare` makes."""

    def __init__(self, seed: int, files: str, unknown: frozenset[str]) -> None:
        self.random = random.Random(seed)
        self.files = files
        self.used: Counter[str] = Counter()
        """How often each word of the language was generated."""
        known = [name for name in variables.table() if name not in OF_THE_MACHINE | unknown | {"value"}]
        self.variables = [*known, *words("unknown h_to: rh_x: bh_subject: lh_cc: 0 1 2 acl_m0 acl_c_x acl_mx item r_x n0")]
        self.operators = [form for name in OPERATORS for form in ARGUMENT_FORMS.get(name, (name,))]
        self.operators += ["quote_lsearch", "quote_mysql", "quote_pgsql", "quote_nosuch", "quote_mysql_x", "nosuch"]
        self.items = {name: getattr(self, f"item_{name}") for name in ITEMS if name not in ("python", "perl", "dlfunc")}
        self.conditions = [name for name in CONDITIONS if name not in ("pam", "radius", "ldapauth", "saslauthd")]

    def pick(self, choices: Sequence[str]) -> str:
        """One of them."""
        return self.random.choice(choices)

    def string(self) -> str:
        """A string, perhaps damaged."""
        text = self.text(self.random.choice((1, 2, 2, 3)))
        if self.random.random() < 0.4 and text:
            at = self.random.randrange(len(text))
            text = text[:at] + self.pick(DAMAGE) + text[at + self.random.choice((0, 1)) :]
        return text

    def text(self, depth: int) -> str:
        """Some pieces after each other."""
        return "".join(self.piece(depth) for _ in range(self.random.choice((1, 1, 1, 2, 3))))

    def piece(self, depth: int) -> str:
        """A literal, a variable, or something in braces."""
        choice = self.random.random()
        if depth <= 0 or choice < 0.25:
            return self.pick(PLAIN)
        if choice < 0.4:
            name = self.pick(self.variables)
            self.used["$" + name] += 1
            return self.pick((f"${name}", f"${{{name}}}")) if name[0] not in "hrbl" or ":" not in name else f"${name}"
        if choice < 0.65:
            name = self.pick(self.operators)
            self.used["operator " + name.partition("_")[0]] += 1
            if name.startswith("utf8_"):
                return f"${{{name}:{self.pick(DOMAINS if 'domain' in name else DOMAINS[3:])}}}"
            return f"${{{name}:{self.text(depth - 1)}}}" + ("}" if name.count("{") else "")
        name = self.pick(list(self.items))
        self.used["item " + name] += 1
        made: str = self.items[name](depth - 1)
        return made

    def group(self, depth: int) -> str:
        """Text in braces."""
        return "{" + self.text(depth) + "}"

    def groups(self, depth: int, low: int, high: int) -> str:
        """Some groups; now and then one too many or too few."""
        count = self.random.randint(low, high) + self.random.choice((0,) * 18 + (1, -1))
        return "".join(self.group(depth) for _ in range(count))

    def branches(self, depth: int) -> str:
        """The strings to choose from."""
        yes, no = self.group(depth), self.group(depth)
        return self.pick(("", yes, yes + no, yes + " fail", "fail", f" {yes} {no} ", "{$value}", "{$value}{no}"))

    def number(self) -> str:
        """A number as an argument, mostly."""
        return self.pick(("0", "1", "2", "3", "-1", "-2", "7", "x", "", " 2 ", "10", "${eval:1+1}"))

    def condition(self, depth: int) -> str:
        """A condition."""
        if self.random.random() < 0.08:
            return "!" + self.condition(depth)
        if self.random.random() < 0.4:
            name = self.pick(COMPARISONS)
            self.used["condition " + name] += 1
            return f"{name}{self.pick(('', ' '))}{self.group(depth)}{self.group(depth)}"
        name = self.pick(self.conditions)
        self.used["condition " + name] += 1
        form: Callable[[int], str] | None = getattr(self, f"cond_{name}", None)
        if form is not None:
            return form(depth)
        if name in COMPARISONS:
            return f"{name}{self.group(depth)}{self.group(depth)}"
        if name.startswith(("forany", "forall")):
            subject = (
                self.group(depth)
                if "json" not in name
                else self.pick(('{[1,"a",{"b":2}]}', '{["x","y"]}', "{[1}", "{}", "{$item}"))
            )
            return f"{name}{subject}{{{self.condition(depth - 1)}}}"
        return f"{name}{self.group(depth)}"

    # --- Conditions with a form of their own --------------------------------------------------------------------------

    def cond_acl(self, depth: int) -> str:
        """`acl{{name}{arg}}`."""
        return f"acl{{{{{self.pick(('a_ret', 'a_deny', 'a_none', 'nosuch'))}}}{self.groups(depth, 0, 2)}}}"

    def _combined(self, name: str, depth: int) -> str:
        inner = "".join(f"{{{self.condition(depth - 1) if depth > 0 else 'eq{a}{a}'}}}" for _ in range(self.random.randint(1, 3)))
        return f"{name} {{{inner}}}"

    def cond_and(self, depth: int) -> str:
        """`and{{}{}}`."""
        return self._combined("and", depth)

    def cond_or(self, depth: int) -> str:
        """`or{{}{}}`."""
        return self._combined("or", depth)

    def cond_def(self, depth: int) -> str:
        """`def:name`."""
        name = self.pick([*self.variables, *OF_THE_MACHINE])
        self.used["$" + name] += 1
        return f"def:{name}"

    def cond_crypteq(self, depth: int) -> str:
        """`crypteq{}{}`."""
        known = (
            "{md5}kAFQmDzST7DWlj99KOF/cg==", "{sha1}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "{md5}900150983cd24fb0d6963f7d28e17f72",
            "{crypt}aaK8mJz", "{nosuch}x", "",
        )  # fmt: skip
        wanted = re.sub(r"([{}])", r"\\\1", self.pick(known))
        return f"crypteq{{abc}}{{{wanted}}}"

    def cond_exists(self, depth: int) -> str:
        """`exists{}`."""
        return f"exists{{{self.pick((self.files + '/data', self.files + '/nosuch', '', 'x'))}}}"

    def cond_queue_running(self, depth: int) -> str:
        """No argument."""
        return "queue_running"

    def cond_first_delivery(self, depth: int) -> str:
        """No argument."""
        return "first_delivery"

    def cond_inbound_srs(self, depth: int) -> str:
        """`inbound_srs{}{}`."""
        return f"inbound_srs{{{self.pick(('SRS0=ab12=XX=b.c=a', 'a', 'SRS0=', 'SRS0+x=y=z=w'))}}}{{{self.pick(('secret', ''))}}}"

    # --- Items --------------------------------------------------------------------------------------------------------

    def item_acl(self, depth: int) -> str:
        """`${acl{name}{arg}...}`."""
        return f"${{acl{{{self.pick(('a_ret', 'a_deny', 'a_none', 'a_defer', 'nosuch'))}}}{self.groups(depth, 0, 2)}}}"

    def item_authresults(self, depth: int) -> str:
        """`${authresults{id}}`."""
        return f"${{authresults{{{self.pick(('mx.example', ''))}}}}}"

    def item_certextract(self, depth: int) -> str:
        """`${certextract{field}{variable}}`."""
        field = self.pick(("subject", "version", "notafter,int", "subj_altname,dns", "nosuch"))
        variable = self.pick(("$tls_in_peercert", "$tls_out_ourcert", "x", "$tls_bits"))
        return f"${{certextract{{{field}}}{{{variable}}}{self.branches(depth)}}}"

    def item_env(self, depth: int) -> str:
        """`${env{name}}`."""
        return f"${{env{{{self.pick(('EXPANSION_FUZZ', 'NO_SUCH', ''))}}}{self.branches(depth)}}}"

    def item_extract(self, depth: int) -> str:
        """All forms."""
        json = self.pick(('{"a":"b","c":[1,2],"d":{"e":null}}', '[1,"x",{"y":[true]}]', "{}", "x", "", '{"a":"b"'))
        kind, member = self.pick(("json", "jsons")), self.pick(("a", "c", "1", "2", "nosuch", "0"))
        separators, key = self.pick((":", ",", " :", "")), self.pick(("k", "w", "K"))
        branches = self.branches(depth)
        forms = (
            f"${{extract{self.group(depth)}{self.group(depth)}{branches}}}",
            f"${{extract{{{self.number()}}}{{{separators}}}{self.group(depth)}{branches}}}",
            f"${{extract {kind} {{{member}}}{{{json}}}{branches}}}",
            f'${{extract{{{key}}}{{k=v w="x y" z = 3}}{branches}}}',
        )
        return self.pick(forms)

    def item_filter(self, depth: int) -> str:
        """`${filter{list}{condition}}`."""
        return f"${{filter{self.group(depth)}{{{self.condition(depth)}}}}}"

    def item_hash(self, depth: int) -> str:
        """`${hash{n}{m}{text}}`."""
        return f"${{hash{{{self.number()}}}{self.pick(('', '{30}', '{70}'))}{self.group(depth)}}}"

    def item_hmac(self, depth: int) -> str:
        """`${hmac{name}{secret}{text}}`."""
        return f"${{hmac{{{self.pick(('md5', 'sha1', 'sha256'))}}}{self.group(depth)}{self.group(depth)}}}"

    def item_if(self, depth: int) -> str:
        """`${if condition ...}`."""
        return f"${{if {self.condition(depth)}{self.branches(depth)}}}"

    def item_imapfolder(self, depth: int) -> str:
        """`${imapfolder{text}{separator}{specials}}`."""
        return f"${{imapfolder{self.group(depth)}{self.pick(('', '{/}', '{.}{x}', '{ab}'))}}}"

    def item_length(self, depth: int) -> str:
        """`${length{n}{text}}`."""
        return f"${{length{{{self.number()}}}{self.group(depth)}}}"

    def item_listextract(self, depth: int) -> str:
        """`${listextract{n}{list}}`."""
        return f"${{listextract{{{self.number()}}}{self.group(depth)}{self.branches(depth)}}}"

    def item_listquote(self, depth: int) -> str:
        """`${listquote{separator}{text}}`."""
        return f"${{listquote{{{self.pick((':', '/', ''))}}}{self.group(depth)}}}"

    def item_lookup(self, depth: int) -> str:
        """Files only: databases are not there."""
        kind = self.pick(LOOKUPS)
        file = self.files + ("" if kind == "dsearch" else self.pick(("/data", "/data", "/data", "/nosuch")))
        key = self.pick(("k1", "k2", "nosuch", "a.b.c", "1.2.3.4", "data", self.text(depth)))
        return f"${{lookup{{{key}}} {kind} {{{file}}}{self.branches(depth)}}}"

    def item_map(self, depth: int) -> str:
        """`${map{list}{text}}`."""
        return f"${{map{self.group(depth)}{{{self.pick(('$item', '[$item]', self.text(depth)))}}}}}"

    def item_nhash(self, depth: int) -> str:
        """`${nhash{n}{m}{text}}`."""
        return f"${{nhash{{{self.number()}}}{self.pick(('', '{30}'))}{self.group(depth)}}}"

    def item_prvs(self, depth: int) -> str:
        """Wrong ones only: a right one changes from day to day."""
        return f"${{prvs{self.pick(('{a}{s}', '{}{s}', '{a@b}{s}{x}', '{a@b}'))}}}"

    def item_prvscheck(self, depth: int) -> str:
        """`${prvscheck{address}{secret}{text}}`."""
        address = self.pick(("prvs=a/0123456789@b", "a@b", "prvs=0001abcdef=a@b", ""))
        text = self.pick(("", "{x$prvscheck_result}", "{y}"))
        return f"${{prvscheck{{{address}}}{{{self.pick(('s', '$prvscheck_keynum'))}}}{text}}}"

    def item_readfile(self, depth: int) -> str:
        """`${readfile{name}{eol}}`."""
        return (
            f"${{readfile{{{self.files}/{self.pick(('data', 'lines', 'nosuch'))}}}{self.pick(('', '{;}', self.group(depth)))}}}"
        )

    def item_readsocket(self, depth: int) -> str:
        """Sockets that are not there."""
        socket = self.pick(("/nosuch/socket", "inet:127.0.0.1:1", "x"))
        return f"${{readsocket{{{socket}}}{self.pick(('{x}{1s}', '{x}{1s}{y}{no}', '{x}', '{x}{z}'))}}}"

    def item_reduce(self, depth: int) -> str:
        """`${reduce{list}{start}{text}}`."""
        body = self.pick(("$value$item", "${eval:$value+$item}", self.text(depth)))
        return f"${{reduce{self.group(depth)}{self.group(depth)}{{{body}}}}}"

    def item_run(self, depth: int) -> str:
        """Rarely a process."""
        command = self.pick(("{/bin/echo a}", "{/bin/false}", "{/nosuch}", "{}", ",preexpand {/bin/echo $0}", ",x{y}"))
        return f"${{run{command}{self.branches(depth)}}}"

    def item_sg(self, depth: int) -> str:
        """`${sg{text}{pattern}{replacement}}`."""
        pattern = self.pick(("a", "(.)b", "^", "$", "x*", "[ab]", "(", "\\\\N", self.text(depth))).replace("$", "\\$")
        replacement = self.pick(("", "-", "<\\$0>", "\\$1", self.text(depth)))
        return f"${{sg{self.group(depth)}{{{pattern}}}{{{replacement}}}}}"

    def item_sort(self, depth: int) -> str:
        """`${sort{list}{comparator}{key}}`."""
        by = self.pick(("<", ">", "lt", "gti", "<=", "ge", "=", "eq", "nosuch", "match"))
        source = self.pick(("3:2:1", "b:a:C", "10:9:8", self.text(depth)))
        return f"${{sort{{{source}}}{{{by}}}{{{self.pick(('$item', '${length_1:$item}', 'x'))}}}}}"

    def item_srs_encode(self, depth: int) -> str:
        """Wrong ones, and ones whose hash does not show."""
        wrong = ("${srs_encode{s}{a}{b}}", "${srs_encode{s}{<>}{b}}", "${srs_encode{s}{a@b}}")
        return self.pick((*wrong, "${domain:${srs_encode{s}{a@b.c}{d.e}}}"))

    def item_substr(self, depth: int) -> str:
        """`${substr{n}{m}{text}}`."""
        return f"${{substr{{{self.number()}}}{self.pick(('', '{1}', '{0}'))}{self.group(depth)}}}"

    def item_tr(self, depth: int) -> str:
        """`${tr{text}{from}{to}}`."""
        return f"${{tr{self.group(depth)}{self.group(depth)}{self.group(depth)}}}"
