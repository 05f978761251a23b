"""`angaros check`: read a configuration and say everything that is wrong, doubtful, or not built yet."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """`angaros check [-C FILE] [-D MACRO=value]...`; 0 when all is well, 1 when it is wrong, 2 with warnings."""
    from angaros.assembly.process import read_configuration
    from angaros.cli.parse import UsageError, parse
    from angaros.config.site import read_site
    from angaros.model.errors import ConfigError

    try:
        call = parse("angaros check", [*arguments, "-bV"])
    except UsageError as error:
        print(error, file=sys.stderr)
        return 64
    site = read_site()
    for warning in site.warnings:
        print(f"warning: {warning}")
    try:
        config = read_configuration(call.config_files, call.macros, site, None)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    problems = 0
    for warning in config.warnings:
        print(f"warning: {warning}")
        problems += 1
    for text in templates(config):
        if wrong := _syntax(text[1]):
            print(f"warning: {text[0]}: {wrong}")
            problems += 1
    print(f"{config.main_file}: {'ok' if not problems else f'{problems} warnings'}")
    return 2 if problems else 0


def templates(config: object) -> list[tuple[str, str]]:
    """All strings that are expanded when used: (where, text)."""
    from angaros.config.config import Config

    assert isinstance(config, Config)
    found: list[tuple[str, str]] = []
    blocks = [("option", config.main)]
    for kind, instances in (
        ("router", config.routers),
        ("transport", tuple(config.transports.values())),
        ("authenticator", config.authenticators),
    ):
        blocks += [(f"{kind} {instance.name}, option", instance.options) for instance in instances]  # type: ignore[misc]
    for where, options in blocks:
        for name in options.given():
            value = options.get(name)
            if options.OPTIONS[name].expanded and isinstance(value, str):
                found.append((f"{where} {name}", value))
    return found


def _syntax(text: str) -> str:
    from angaros.expand.engine import Engine

    return Engine().check(text) or ""
