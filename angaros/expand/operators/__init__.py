"""Expansion operators: `${name:text}` and `${name_arguments:text}`, functions of text."""
