"""The words of the language: items, operators, conditions, one greppable row each. A row names the file and the function.

Files are imported when a string that uses them is compiled: `exim -be` does not load what it does not use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from angaros.expand.nodes import Node, Unfinished, Variable, fail
from angaros.expand.parser import CondParser, ItemParser, Parser
from angaros.model.errors import ExpansionError
from angaros.model.scope import Scope

ITEMS: dict[str, str] = {
    "acl": "control.parse_acl",
    "authresults": "authresults.parse_authresults",
    "certextract": "certextract.parse_certextract",
    "dlfunc": "dlfunc.parse_dlfunc",
    "env": "control.parse_env",
    "extract": "extract.parse_extract",
    "filter": "lists.parse_each",
    "hash": "strings.parse_numbered",
    "hmac": "strings.parse_hmac",
    "if": "control.parse_if",
    "imapfolder": "strings.parse_imapfolder",
    "length": "strings.parse_numbered",
    "listextract": "extract.parse_listextract",
    "listquote": "strings.parse_listquote",
    "lookup": "lookup.parse_lookup",
    "map": "lists.parse_each",
    "nhash": "strings.parse_numbered",
    "perl": "perl.parse_perl",
    "prvs": "prvs.parse_prvs",
    "prvscheck": "prvs.parse_prvscheck",
    "python": "python.parse_python",
    "readfile": "files.parse_readfile",
    "readsocket": "readsocket.parse_readsocket",
    "reduce": "lists.parse_reduce",
    "run": "run.parse_run",
    "sg": "strings.parse_sg",
    "sort": "lists.parse_sort",
    "srs_encode": "srs.parse_srs_encode",
    "substr": "strings.parse_numbered",
    "tr": "strings.parse_tr",
}
"""Items with braces; `angaros.expand.items.<file>.<function>`. `python` is ours."""

OPERATORS: dict[str, tuple[str, str]] = {
    "address": ("encode.do_address", ""),
    "addresses": ("encode.do_addresses", ""),
    "base32": ("numbers.do_base32", "p"),
    "base32d": ("numbers.do_base32d", "p"),
    "base62": ("numbers.do_base62", "p"),
    "base62d": ("numbers.do_base62d", "p"),
    "base64": ("encode.do_base64", "pc"),
    "base64d": ("encode.do_base64d", "p"),
    "domain": ("encode.do_domain", ""),
    "escape": ("text.do_escape", ""),
    "escape8bit": ("text.do_escape8bit", "p"),
    "eval": ("numbers.do_eval", "p"),
    "eval10": ("numbers.do_eval10", "p"),
    "expand": ("text.do_expand", ""),
    "from_utf8": ("encode.do_from_utf8", "p"),
    "h": ("text.numbered", "p#"),
    "hash": ("text.numbered", "p#"),
    "headerwrap": ("text.do_headerwrap", "p_"),
    "hex2b64": ("encode.do_hex2b64", "p"),
    "hexquote": ("text.do_hexquote", "p"),
    "ipv6denorm": ("numbers.do_ipv6denorm", "p"),
    "ipv6norm": ("numbers.do_ipv6norm", "p"),
    "l": ("text.numbered", "p#"),
    "lc": ("text.do_lc", "p"),
    "length": ("text.numbered", "p#"),
    "listcount": ("numbers.do_listcount", "p"),
    "listnamed": ("numbers.do_listnamed", "_"),
    "local_part": ("encode.do_local_part", ""),
    "mask": ("numbers.do_mask", "p_"),
    "md5": ("encode.do_md5", "pc"),
    "nh": ("text.numbered", "p#"),
    "nhash": ("text.numbered", "p#"),
    "quote": ("text.do_quote", "p"),
    "quote_local_part": ("text.do_quote_local_part", "p"),
    "randint": ("numbers.do_randint", ""),
    "reverse_ip": ("numbers.do_reverse_ip", "p"),
    "rfc2047": ("encode.do_rfc2047", ""),
    "rfc2047d": ("encode.do_rfc2047d", ""),
    "rxquote": ("text.do_rxquote", "p"),
    "s": ("text.numbered", "p#"),
    "sha1": ("encode.do_sha1", "pc"),
    "sha2": ("encode.do_sha2", "p_"),
    "sha256": ("encode.do_sha256", "pc"),
    "sha3": ("encode.do_sha3", "p_"),
    "stat": ("text.do_stat", ""),
    "str2b64": ("encode.do_base64", "pc"),
    "strlen": ("text.do_strlen", "p"),
    "substr": ("text.numbered", "p#"),
    "time_eval": ("numbers.do_time_eval", "p"),
    "time_interval": ("numbers.do_time_interval", "p"),
    "uc": ("text.do_uc", "p"),
    "utf8clean": ("encode.do_utf8clean", "p"),
    "utf8_domain_from_alabel": ("encode.do_utf8_domain_from_alabel", "p"),
    "utf8_domain_to_alabel": ("encode.do_utf8_domain_to_alabel", "p"),
    "utf8_localpart_from_alabel": ("encode.do_utf8_localpart_from_alabel", "p"),
    "utf8_localpart_to_alabel": ("encode.do_utf8_localpart_to_alabel", "p"),
    "xtextd": ("text.do_xtextd", "p"),
}
"""`angaros.expand.operators.<file>.<function>`; `p`: depends on its text only (folded when constant); `_`: takes arguments
after an underscore; `#`: takes numbers there, and the function makes one for them; `c`: also for a certificate variable.
`quote_<lookup>` is handled apart."""

CONDITIONS: dict[str, str] = {
    "<": "compare.parse_compare",
    "<=": "compare.parse_compare",
    "=": "compare.parse_compare",
    "==": "compare.parse_compare",
    ">": "compare.parse_compare",
    ">=": "compare.parse_compare",
    "acl": "lists.parse_acl",
    "and": "compare.parse_combined",
    "bool": "compare.parse_bool",
    "bool_lax": "compare.parse_bool_lax",
    "crypteq": "auth.parse_crypteq",
    "def": "compare.parse_def",
    "eq": "compare.parse_compare",
    "eqi": "compare.parse_compare",
    "exists": "compare.parse_exists",
    "first_delivery": "compare.parse_first_delivery",
    "forall": "lists.parse_for",
    "forall_json": "lists.parse_for",
    "forall_jsons": "lists.parse_for",
    "forany": "lists.parse_for",
    "forany_json": "lists.parse_for",
    "forany_jsons": "lists.parse_for",
    "ge": "compare.parse_compare",
    "gei": "compare.parse_compare",
    "gt": "compare.parse_compare",
    "gti": "compare.parse_compare",
    "inbound_srs": "inbound_srs.parse_inbound_srs",
    "inlist": "lists.parse_inlist",
    "inlisti": "lists.parse_inlist",
    "isip": "compare.parse_isip",
    "isip4": "compare.parse_isip4",
    "isip6": "compare.parse_isip6",
    "ldapauth": "auth.parse_ldapauth",
    "le": "compare.parse_compare",
    "lei": "compare.parse_compare",
    "lt": "compare.parse_compare",
    "lti": "compare.parse_compare",
    "match": "lists.parse_match",
    "match_address": "lists.parse_match_list",
    "match_domain": "lists.parse_match_list",
    "match_ip": "lists.parse_match_list",
    "match_local_part": "lists.parse_match_list",
    "or": "compare.parse_combined",
    "pam": "auth.parse_pam",
    "queue_running": "compare.parse_queue_running",
    "radius": "auth.parse_radius",
    "saslauthd": "auth.parse_saslauthd",
}
"""`angaros.expand.conditions.<file>.<function>`."""

WORDY = frozenset({"listnamed", "sha2", "sha3"})
"""Operators whose arguments are words."""

EVALUATORS = {"eval": "numbers.evaluate", "eval10": "numbers.evaluate_decimal"}
"""Operators whose text is taken apart when the tree is built (`expand.sums`), and the functions for the texts that cannot be."""

OperatorFunction = Callable[[str, str, Scope], str]


def _load(folder: str, row: str) -> Any:
    file, _, function = row.partition(".")
    return getattr(import_module(f"angaros.expand.{folder}.{file}"), function)


class Operator(Node):
    """`${operator:text}`."""

    __slots__ = ("argument", "function", "inner")

    def __init__(self, function: OperatorFunction, argument: str, inner: Node, pure: bool = False) -> None:
        super().__init__()
        if pure:
            self.depends = inner.depends
        self.function = function
        self.argument = argument
        self.inner = inner
        self.skip_error = inner.skip_error

    def eval(self, scope: Scope) -> str:
        return self.function(self.inner.eval(scope), self.argument, scope)


class LowerCase(Operator):
    """`${lc:`: the most frequent of all."""

    __slots__ = ()

    def eval(self, scope: Scope) -> str:
        text = self.inner.eval(scope)
        return text.lower() if text.isascii() else self.function(text, "", scope)


class UpperCase(Operator):
    """`${uc:`"""

    __slots__ = ()

    def eval(self, scope: Scope) -> str:
        text = self.inner.eval(scope)
        return text.upper() if text.isascii() else self.function(text, "", scope)


NODES: dict[str, type[Operator]] = {"lc": LowerCase, "uc": UpperCase}
"""Operators that have a node of their own."""


class NumberedOperator(Node):
    """`${hash_8_62:text}` and its like."""

    __slots__ = ("error", "function", "inner")

    def __init__(self, make: Callable[[str, str], Callable[[str], str]], name: str, argument: str, inner: Node) -> None:
        super().__init__()
        self.depends = inner.depends
        self.inner = inner
        self.skip_error = inner.skip_error
        self.error = ""
        try:
            self.function = make(name, argument)
        except ExpansionError as error:
            self.error = str(error)

    def eval(self, scope: Scope) -> str:
        text = self.inner.eval(scope)
        if self.error:
            raise fail(self.error)
        return self.function(text)


class UnknownOperator(Node):
    """An operator that does not exist; its text is looked at first."""

    __slots__ = ("inner", "message")

    def __init__(self, message: str, inner: Node) -> None:
        super().__init__()
        self.message = message
        self.inner = inner
        self.skip_error = inner.skip_error or message

    def eval(self, scope: Scope) -> str:
        self.inner.eval(scope)
        raise fail(self.message)


def find_operator(name: str) -> tuple[str, str, str] | str:
    """Row, flags and argument of an operator as written; an error message when there is none."""
    row = OPERATORS.get(name)
    if name in ("h", "l", "nh", "s"):
        return f"missing values after {name}"
    if row is not None:
        return row[0], row[1], ""
    base, underscore, argument = name.partition("_")
    row = OPERATORS.get(base)
    if base in WORDY and underscore and not argument:
        argument = underscore  # an argument that is empty is not one that is not there
    if base == "quote" and underscore:
        return "text.do_quote_lookup", "", argument
    if row is not None and ("_" in row[1] or "#" in row[1]):
        return row[0], row[1], argument
    if row is not None:
        return f'unknown expansion operator "{name}" ("{base}" does not take an _arg)'
    return f'unknown expansion operator "{name}"'


DIRECT = frozenset({
    "authenticated_id", "caller_gid", "caller_uid", "primary_hostname", "qualify_domain", "received_protocol", "sender_address",
    "sender_address_domain", "sender_address_local_part", "sender_helo_name", "sender_host_address", "tod_epoch", "tod_full",
    "tod_log",
})  # fmt: skip
"""Variables that nobody sets in a scope's `local` or `state` (a test looks for it): their functions need not be asked second."""


class Tables:
    """`parser.Language` on these tables."""

    __slots__ = ("_functions", "direct")

    def __init__(self) -> None:
        self.direct = DIRECT
        self._functions: dict[str, Any] = {}

    def _get(self, folder: str, row: str) -> Any:
        key = f"{folder}.{row}"
        found = self._functions.get(key)
        if found is None:
            found = self._functions[key] = _load(folder, row)
        return found

    def item(self, name: str) -> ItemParser | None:
        """Parser of an item."""
        row = ITEMS.get(name)
        found: ItemParser | None = self._get("items", row) if row else None
        return found

    def condition(self, name: str) -> CondParser | None:
        """Parser of a condition."""
        row = CONDITIONS.get(name)
        found: CondParser | None = self._get("conditions", row) if row else None
        return found

    def operator(self, parser: Parser, name: str) -> Node:
        """Parse the rest of `${name:text}`; we stand after the colon."""
        inner = parser.string()
        if not parser.broken and parser.pos >= parser.end:
            return Unfinished([inner, parser.fail_end()])
        if parser.broken:
            return Unfinished([inner])
        parser.pos += 1
        found = find_operator(name)
        if isinstance(found, str):
            node = UnknownOperator(found, inner)
            if found.startswith("missing values"):  # a known one, so not looked at where it is skipped
                node.skip_error = inner.skip_error
            return node
        row, flags, argument = found
        if "c" in flags and isinstance(inner, Variable):
            from angaros.expand.certificates import CERTIFICATES, certificate_operator

            if inner.name in CERTIFICATES:
                return certificate_operator(name, inner.name)
        if name in EVALUATORS:
            from angaros.expand.sums import sum_node

            special = sum_node(inner, self._get("operators", EVALUATORS[name]))
            if special is not None:
                return special
        if "#" in flags:
            return NumberedOperator(self._get("operators", row), name.partition("_")[0], argument, inner)
        function: OperatorFunction = self._get("operators", row)
        return NODES.get(name, Operator)(function, argument, inner, "p" in flags)

    def variable(self, name: str) -> Callable[[Scope], str] | None:
        """Function of a variable."""
        from angaros.expand.variables import find

        return find(name)

    def why_unknown(self, name: str) -> str:
        """More about a wrong name."""
        from angaros.expand.variables import why_unknown

        return why_unknown(name)

    def header(self, kind: str, name: str) -> Node:
        """`$h_name:` and its like."""
        from angaros.expand.headers import header_node

        return header_node(kind, name)


def names() -> dict[str, Sequence[str]]:
    """All words, for the ledger and tests."""
    return {"items": list(ITEMS), "operators": [*OPERATORS, "quote_<lookup>"], "conditions": [*CONDITIONS, "!"]}
