"""Reading the configuration: lines, macros, option declarations."""
