"""SASL mechanisms, server and client side: one file a driver (Exim spec 33-42).

Law: a mechanism is a generator of texts. It knows neither base64 nor sockets: who drives it (`inbound.auth`, the SMTP client)
encodes what it yields and decodes what it is sent, so an idle exchange holds no stack.
"""
