"""The language: the core and all extensions, as tables that the parser reads."""

from __future__ import annotations

from functools import cached_property

from angaros.filters.sieve import actions, control, tests
from angaros.filters.sieve.capabilities import BUILT_IN, EXIM_CAPABILITIES
from angaros.filters.sieve.extensions import EXTENSIONS
from angaros.filters.sieve.tree import Extension, Spec, Tag


class Language:
    """Names -> rows."""

    def __init__(self, extensions: tuple[Extension, ...]) -> None:
        self.extensions = extensions
        self.commands = {spec.name: spec for spec in (*control.COMMANDS, *actions.COMMANDS)}
        self.tests = {spec.name: spec for spec in tests.TESTS}
        for extension in extensions:
            self.commands |= {spec.name: spec for spec in extension.commands}
            self.tests |= {spec.name: spec for spec in extension.tests}

    @cached_property
    def capabilities(self) -> tuple[str, ...]:
        """What `require` may name, Exim's own first."""
        known = {name for extension in self.extensions for name in extension.capabilities} | set(BUILT_IN)
        first = [name for name in EXIM_CAPABILITIES if name in known]
        return (*first, *sorted(known.difference(first)))

    def tags_of(self, spec: Spec) -> tuple[Tag, ...]:
        """The tags of a command or test with those that extensions give it."""
        added = [tag for extension in self.extensions for tag in extension.tags.get(spec.name, ())]
        if any(tag.place == "match" for tag in spec.tags):
            added += [tag for extension in self.extensions for tag in extension.tags.get("match", ())]
        return (*spec.tags, *added)


LANGUAGE = Language(EXTENSIONS)
