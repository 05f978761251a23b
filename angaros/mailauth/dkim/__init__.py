"""DKIM: signatures over header and body, verified and made while the message streams by. # RFC 6376, 8301, 8463

`tags` and `canon` are the grammar, `keys` the cryptography, `signature` one header line, `verify` and `sign` the two roads,
`report` the words of logs and Authentication-Results. No I/O: keys come from a function that asks the DNS.
"""
