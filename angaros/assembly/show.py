"""`-bP`: showing the configuration (Exim spec 5.3).

Law: nothing that was given with `hide` is shown to anyone but an administrator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from angaros import EXIM_VERSION
from angaros.config import options as kinds
from angaros.config import values
from angaros.config.config import Config, DriverInstance
from angaros.config.options import Option, Options
from angaros.config.settings import split_list
from angaros.config.users import group_name, user_name

HIDDEN = "<value not displayable>"
_DRIVER_KINDS = ("router", "transport", "authenticator")


@dataclass(slots=True)
class View:
    """Who looks, and where to write."""

    config: Config
    write: Callable[[str], None]
    """Takes one line, without its end."""
    admin: bool = True
    names: bool = True
    """False with -n: values only."""
    environment: Mapping[str, str] = field(default_factory=dict)
    version: str = EXIM_VERSION

    def label(self, name: str, value: str, *, bare: bool = False) -> None:
        """`name = value`; `bare`: no space after the sign for an empty value."""
        if not self.names:
            self.write(value)
        elif bare and not value:
            self.write(f"{name} =")
        else:
            self.write(f"{name} = {value}")


def show_options(view: View, words: Sequence[str]) -> int:
    """`-bP` and its arguments; the exit status."""
    if not words:
        show_main(view)
        return 0
    rest = list(words)
    found = True
    while rest:
        word = rest.pop(0)
        if word in (*_DRIVER_KINDS, "macro") and rest:
            found = _show_named(view, word, rest.pop(0)) and found
        else:
            found = _show_word(view, word) and found
    return 0 if found else 1


def _show_word(view: View, word: str) -> bool:
    config = view.config
    if word.startswith("+"):
        return _show_named_list(view, word[1:])
    if show := _WORDS.get(word):
        return show(view)
    for kind in _DRIVER_KINDS:
        if word == f"{kind}s":
            for instance in instances(config, kind):
                show_driver(view, kind, instance, title=True)
            return True
        if word == f"{kind}_list":
            for instance in instances(config, kind):
                view.write(instance.name)
            return True
    row = config.main.OPTIONS.get(word)
    if row is None or row.kind == kinds.BOOL_VERIFY:
        view.write(f"{word} is not a known option")
        return False
    show_option(view, row, config.main, config.main_hidden)
    return True


def instances(config: Config, kind: str) -> Iterable[DriverInstance[Any]]:
    """All routers, transports or authenticators."""
    if kind == "router":
        return config.routers
    return config.transports.values() if kind == "transport" else config.authenticators


def _show_named(view: View, kind: str, name: str) -> bool:
    if kind == "macro":
        return _show_macro(view, name)
    for instance in instances(view.config, kind):
        if instance.name == name:
            show_driver(view, kind, instance, title=False)
            return True
    view.write(f"{kind} {name} not found")
    return False


def _show_named_list(view: View, name: str) -> bool:
    found = False
    for kind in ("address", "domain", "host", "localpart"):
        named = view.config.named_lists[kind].get(name)
        if named is not None:
            found = True
            value = HIDDEN if named.hidden and not view.admin else named.text
            view.label(f"{kind}list {name}", value)
    if not found:
        view.write(f'no address, domain, host, or local part list called "{name}" exists')
    return found


# --- Options -----------------------------------------------------------------------------------------------------------


def show_main(view: View) -> bool:
    """All main options."""
    main = view.config.main
    for row in sorted(main.OPTIONS.values(), key=lambda row: row.name):
        if is_listed(row, main):
            show_option(view, row, main, view.config.main_hidden)
    return True


def show_driver(view: View, kind: str, instance: DriverInstance[Any], *, title: bool) -> None:
    """All options of one instance: generic ones, then its own."""
    if title:
        view.write("")
        view.write(f"{instance.name} {kind}:")
    options = instance.options
    own = options.OWN
    generic = [row for row in options.OPTIONS.values() if row.name not in own]
    for row in (*generic, *own.values()):
        if is_listed(row, options):
            show_option(view, row, options, instance.hidden)


def is_listed(row: Option, block: Options) -> bool:
    """Whether a list of all options has it: one of ours only where it is set, since tools know Exim's lists."""
    return not row.hidden and (row.since != "angaros" or block.is_set(row.name))


def show_option(view: View, row: Option, block: Options, hidden: frozenset[str]) -> None:
    """One option as Exim prints it."""
    if row.name in hidden and not view.admin:
        view.label(row.name, HIDDEN)
        return
    value = block.get(row.name)
    if isinstance(value, bool):
        view.write(row.name if value else f"no_{row.name}")
    elif row.kind == kinds.FIXED and value < 0:
        view.write(f"{row.name} =")
    else:
        bare = row.kind in (kinds.UID_LIST, kinds.GID_LIST)
        view.label(row.name, option_text(row, value, top_bit=_top_bit(view.config)), bare=bare)


def _top_bit(config: Config) -> bool:
    return config.main.print_topbitchars


_NUMBERS: dict[str, Callable[[int], str]] = {
    kinds.INT: str,
    kinds.MKINT: values.show_number,
    kinds.KINT: values.show_number,
    kinds.OCTAL: lambda value: f"0{value:o}" if value else "0",
    kinds.FIXED: values.show_fixed,
    kinds.TIME: values.show_time,
}


def option_text(row: Option, value: Any, *, top_bit: bool = False) -> str:
    """The value of an option that is no switch."""
    if value is None:
        return ""
    if isinstance(value, int):
        return _NUMBERS[row.kind](value)
    text: str = value
    match row.kind:
        case kinds.UID | kinds.EXPAND_UID:
            return user_name(int(text)) if text.isdigit() else text
        case kinds.GID | kinds.EXPAND_GID:
            return group_name(int(text)) if text.isdigit() else text
        case kinds.UID_LIST:
            return ":".join(user_name(int(item)) if item.isdigit() else item for item in split_list(text))
        case kinds.GID_LIST:
            return ":".join(group_name(int(item)) if item.isdigit() else item for item in split_list(text))
        case kinds.TIME_LIST:
            return ":".join(values.show_time(values.parse_time(item)) for item in text.split(":")) if text else ""
        case _:
            return values.printing(text, top_bit=top_bit)


# --- Macros, environment, files ----------------------------------------------------------------------------------------


def _all_macros(config: Config) -> dict[str, str]:
    builtins: Callable[[], Mapping[str, str]] | None = config.extra.get("builtins")
    known = dict(builtins()) if builtins else {}
    known.update((macro.name, macro.value) for macro in config.macros.values())
    return known


def _listed_macros(config: Config) -> dict[str, str]:
    """Without those of options of ours."""
    from angaros.config.features import macros_of_ours

    ours = macros_of_ours() - config.macros.keys()
    return {name: value for name, value in _all_macros(config).items() if name not in ours}


def _show_macro(view: View, name: str) -> bool:
    if not view.admin:
        return _denied(view)
    value = _all_macros(view.config).get(name)
    if value is None:
        view.write(f"macro {name} not found")
        return False
    view.write(f"{name}={value}" if view.names else value)
    return True


def _show_macros(view: View) -> bool:
    if not view.admin:
        return _denied(view)
    for name, value in _listed_macros(view.config).items():
        view.write(f"{name}={value}" if view.names else value)
    return True


def _show_macro_list(view: View) -> bool:
    if not view.admin:
        return _denied(view)
    for name in _listed_macros(view.config):
        view.write(name)
    return True


class PermissionDenied(Exception):
    """Only administrators may see this: `exim: permission denied`, status 1."""


def _denied(view: View) -> bool:
    raise PermissionDenied


def _show_environment(view: View) -> bool:
    for name in sorted(view.environment):
        view.write(f"{name}={view.environment[name]}" if view.names else name)
    return True


def _show_file(view: View) -> bool:
    view.write(view.config.main_file)
    return True


def _show_local_scan(view: View) -> bool:
    if not view.config.local_scan:
        view.write("local_scan() options are not supported")
    for name, value in view.config.local_scan.items():
        view.label(name, values.printing(value))
    return True


# --- The text of the configuration -------------------------------------------------------------------------------------

_SECTION = re.compile(r"begin +(.*)", re.DOTALL)
_MACRO = re.compile(r"[A-Z][A-Za-z0-9_]*[ \t]*=")


def _show_config(view: View) -> bool:
    """`-bP config`: as it was read, inclusions resolved, comments removed."""
    view.write(f"# Exim Configuration ({view.version})")
    indent = 0
    for line in view.config.lines:
        if line.startswith("# "):
            view.write(line)
            continue
        text = _shown_line(view, squeeze(line))
        section = _SECTION.match(line)
        if not view.names:
            view.write(text)
        elif section:
            view.write("")
            view.write(text)
            indent = 2
        elif indent and text.endswith(":") and not _MACRO.match(line) and "=" not in text:
            view.write("")
            view.write(f"  {text}")
            indent = 4
        else:
            view.write(" " * indent + text)
    return True


def _shown_line(view: View, line: str) -> str:
    """The line without what `hide` and macros keep from others."""
    if view.admin:
        return line
    if _MACRO.match(line) or line.startswith("hide "):
        head, equals, _ = line.partition("=")
        return f"{head.rstrip()} = {HIDDEN}" if equals else HIDDEN
    return line


def squeeze(line: str) -> str:
    """Runs of white space as one blank, up to the first text in quotes."""
    out: list[str] = []
    position = 0
    while position < len(line):
        character = line[position]
        if character == '"' and line.find(character, position + 1) >= 0:
            out.append(line[position:])
            break
        if character in " \t":
            out.append(" ")
            while position < len(line) and line[position] in " \t":
                position += 1
            continue
        out.append(character)
        position += 1
    return "".join(out)


_WORDS: dict[str, Callable[[View], bool]] = {
    "all": show_main,
    "config": _show_config,
    "config_file": _show_file,
    "configure_file": _show_file,
    "environment": _show_environment,
    "local_scan": _show_local_scan,
    "macros": _show_macros,
    "macro_list": _show_macro_list,
}
