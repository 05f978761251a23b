"""Options of the authenticators, generic and by driver: a declared table."""

from __future__ import annotations

from angaros.config.options import Options, boolean, string


class AuthOptions(Options):
    """Options of every authenticator."""

    client_condition: str | None = string(None, "Client: skip unless true", expanded=True, since="4.68")
    client_set_id: str | None = string(None, "Client: identity recorded for logging", expanded=True)
    driver: str | None = string(None, "Selects the mechanism driver")
    public_name: str | None = string(None, "Mechanism name on the wire", since="3.10")
    server_advertise_condition: str | None = string(None, "Offer this mechanism only if true", expanded=True, since="4.14")
    server_condition: str | None = string(
        None, "Final accept/reject expression", expanded=True, since="3.10 (plaintext) 4.64 (others)"
    )
    server_debug_print: str | None = string(None, "Text shown in debug output", expanded=True)
    server_mail_auth_condition: str | None = string(None, "Decides whether MAIL AUTH= is believed", expanded=True, since="3.22")
    server_set_id: str | None = string(None, "Value for $authenticated_id", expanded=True, since="3.10")


class CramMd5AuthOptions(AuthOptions):
    """Driver `cram_md5`: CRAM-MD5."""

    DRIVER = "cram_md5"

    client_name: str | None = string(None, "User name to send", expanded=True, since="3.10")
    client_secret: str | None = string(None, "Shared secret", expanded=True, since="3.10")
    server_secret: str | None = string(None, "Shared secret looked up for $auth1", expanded=True, since="3.10")


class CyrusSaslAuthOptions(AuthOptions):
    """Driver `cyrus_sasl`: Server through Cyrus SASL."""

    DRIVER = "cyrus_sasl"

    server_hostname: str | None = string(None, "Host name given to the library", expanded=True)
    server_mech: str | None = string(None, "Underlying mechanism")
    server_realm: str | None = string(None, "Realm given to the library", expanded=True)
    server_service: str = string("smtp", "Service name given to the library")


class DovecotAuthOptions(AuthOptions):
    """Driver `dovecot`: Server through a Dovecot auth socket."""

    DRIVER = "dovecot"

    server_socket: str | None = string(None, "Dovecot auth socket")
    server_tls: bool = boolean(False, "Use TLS when the socket is a TCP one")


class ExternalAuthOptions(AuthOptions):
    """Driver `external`: EXTERNAL, client certificates."""

    DRIVER = "external"

    client_send: str | None = string(None, "Identity to send", expanded=True)
    server_param2: str | None = string(None, "Expression giving $auth2", expanded=True)
    server_param3: str | None = string(None, "Expression giving $auth3", expanded=True)


class GsaslAuthOptions(AuthOptions):
    """Driver `gsasl`: GNU SASL, SCRAM and more."""

    DRIVER = "gsasl"

    client_authz: str | None = string(None, "Authorisation identity", expanded=True, since="4.94")
    client_channelbinding: bool = boolean(False, "Client: use channel binding")
    client_password: str | None = string(None, "Client password", expanded=True, since="4.94")
    client_spassword: str | None = string(None, "Pre-computed SCRAM salted password", expanded=True)
    client_username: str | None = string(None, "Client user name", expanded=True, since="4.94")
    server_channelbinding: bool = boolean(False, "Server: use channel binding", since="4.80")
    server_hostname: str | None = string(None, "Host name given to the library", expanded=True)
    server_key: str | None = string(None, "SCRAM ServerKey", expanded=True)
    server_mech: str | None = string(None, "Underlying mechanism")
    server_password: str | None = string(None, "Password for the claimed user", expanded=True, since="4.80")
    server_realm: str | None = string(None, "SASL realm", expanded=True)
    server_scram_iter: str = string("4096", "SCRAM iteration count", expanded=True, since="4.80")
    server_scram_salt: str | None = string(None, "SCRAM salt", expanded=True, since="4.80")
    server_skey: str | None = string(None, "SCRAM StoredKey", expanded=True)
    server_service: str = string("smtp", "Service name")


class HeimdalGssapiAuthOptions(AuthOptions):
    """Driver `heimdal_gssapi`: Kerberos server."""

    DRIVER = "heimdal_gssapi"

    server_hostname: str | None = string(None, "Host part of the service principal", expanded=True)
    server_keytab: str | None = string(None, "Alternative keytab", expanded=True, since="4.80")
    server_service: str = string("smtp", "Service part of the principal", expanded=True)


class PlaintextAuthOptions(AuthOptions):
    """Driver `plaintext`: PLAIN, LOGIN and similar."""

    DRIVER = "plaintext"

    client_ignore_invalid_base64: bool = boolean(False, "Carry on after undecodable server challenges", since="4.61")
    client_send: str | None = string(None, "Data strings to send, one per challenge", expanded=True, since="3.10")
    server_prompts: str | None = string(
        None, "Challenge strings, one per expected datum", items="string", expanded=True, since="3.10"
    )


class SpaAuthOptions(AuthOptions):
    """Driver `spa`: NTLM."""

    DRIVER = "spa"

    client_domain: str | None = string(None, "NTLM domain", expanded=True)
    client_password: str | None = string(None, "NTLM password", expanded=True)
    client_username: str | None = string(None, "NTLM user", expanded=True)
    server_password: str | None = string(None, "Password for the claimed user", expanded=True)


class TlsAuthOptions(AuthOptions):
    """Driver `tls`: Implicit authentication from a client certificate."""

    DRIVER = "tls"

    server_param: str | None = string(None, "Synonym of server_param1", expanded=True)
    server_param1: str | None = string(None, "Expression giving $auth1 at STARTTLS", expanded=True, since="(auth)        4.86")
    server_param2: str | None = string(None, "Expression giving $auth2", expanded=True, since="(auth)        4.86")
    server_param3: str | None = string(None, "Expression giving $auth3", expanded=True, since="(auth)        4.86")


AUTHENTICATORS: dict[str, type[AuthOptions]] = {
    "cram_md5": CramMd5AuthOptions,
    "cyrus_sasl": CyrusSaslAuthOptions,
    "dovecot": DovecotAuthOptions,
    "external": ExternalAuthOptions,
    "gsasl": GsaslAuthOptions,
    "heimdal_gssapi": HeimdalGssapiAuthOptions,
    "plaintext": PlaintextAuthOptions,
    "spa": SpaAuthOptions,
    "tls": TlsAuthOptions,
}
"""By driver name."""
