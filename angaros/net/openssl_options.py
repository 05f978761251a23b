"""Names of OpenSSL's options (Exim spec 14, `openssl_options`), apart from `tls_context`: checking them loads no OpenSSL."""

from __future__ import annotations

OPTION_NUMBERS = {
    "all": 0x80000850, "allow_unsafe_legacy_renegotiation": 0x40000, "cipher_server_preference": 0x400000,
    "cryptopro_tlsext_bug": 1 << 31, "dont_insert_empty_fragments": 0x800, "ephemeral_rsa": 0, "legacy_server_connect": 0x4,
    "microsoft_big_sslv3_buffer": 0, "microsoft_sess_id_bug": 0, "msie_sslv2_rsa_padding": 0, "netscape_challenge_bug": 0,
    "netscape_reuse_cipher_change_bug": 0, "no_compression": 0x20000, "no_session_resumption_on_renegotiation": 0x10000,
    "no_sslv2": 0, "no_sslv3": 0x2000000, "no_ticket": 0x4000, "no_tlsv1": 0x4000000, "no_tlsv1_1": 0x10000000,
    "no_tlsv1_2": 0x8000000, "no_tlsv1_3": 0x20000000, "no_renegotiation": 0x40000000, "prioritize_chacha": 0x200000,
    "safari_ecdhe_ecdsa_bug": 0x40, "single_dh_use": 0, "single_ecdh_use": 0, "ssleay_080_client_dh_bug": 0,
    "sslref2_reuse_cert_type_bug": 0, "tls_block_padding_bug": 0, "tls_d5_bug": 0, "tls_rollback_bug": 0x800000,
    "enable_middlebox_compat": 0x100000, "ignore_unexpected_eof": 0x80, "netscape_ca_dn_bug": 0,
    "netscape_demo_cipher_change_bug": 0, "no_anti_replay": 0x1000000,
}  # fmt: skip
"""Bits of SSL_CTX_set_options under OpenSSL 3, by Exim's names (Exim spec 14, openssl_options). 0: no effect any more."""


def parse_openssl_options(items: tuple[str, ...]) -> int | None:
    """Option bits after `+name` and `-name` items, in order; None when one is unknown."""
    bits = OPTION_NUMBERS["no_sslv3"] | OPTION_NUMBERS["no_ticket"] | OPTION_NUMBERS["no_renegotiation"]
    for item in items:
        sign, name = item[:1], item[1:].lower()
        if sign not in ("+", "-") or (name not in OPTION_NUMBERS and not name.isdigit()):
            return None
        number = int(name) if name.isdigit() else OPTION_NUMBERS[name]
        bits = bits | number if sign == "+" else bits & ~number
    return bits
