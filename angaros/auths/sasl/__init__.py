"""SASL mechanisms without SMTP and without Exim's options: octets (as text) in, octets out. Their drivers know the secrets."""
