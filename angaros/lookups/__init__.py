"""File and database lookups. # Exim spec 9

Laws:
- A lookup type is one file, one class, one row in `registry.py`.
- A driver answers one key of one file, or one query; partial keys, defaults, caching, taint and options common to all are the
  engine's business.
- What cannot be answered now raises `LookupDefer`; what can never be answered raises `LookupFailure`; "not there" is a result.
- Results are the administrator's own data, hence not tainted. File names must not be tainted; tainted text in a query must have
  been quoted for this type.
- Libraries that block run in a thread through the `Waiter`.
"""
