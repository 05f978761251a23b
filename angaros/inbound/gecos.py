"""The full name of a local user (Exim spec 14: gecos_name, gecos_pattern)."""

from __future__ import annotations

from angaros.model.errors import AngarosError
from angaros.model.interfaces import Services
from angaros.model.scope import Scope


def full_name(gecos: str, login: str, services: Services) -> str:
    """The gecos field as a name: `&` stands for the login, and gecos_pattern with gecos_name may pick out a part."""
    name = gecos.replace("&", login[:1].upper() + login[1:])
    main = services.config.main
    if main.gecos_pattern is None or main.gecos_name is None:
        return name
    from angaros import regex

    try:
        groups = regex.compile(main.gecos_pattern).match(name)
        if groups is None:
            return name
        scope = Scope(services)
        scope.numeric = groups
        return scope.expand(main.gecos_name)
    except AngarosError as error:
        services.log.write(f"gecos_name: {error}", panic=True)
        return name
