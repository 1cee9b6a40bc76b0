"""A token as it is sent: `authorization: Bearer TOKEN`, or as the password of a browser or of an A1111 client."""

from __future__ import annotations

import base64
import binascii


def token_in(header: str | None) -> str | None:
    """The token of an authorization header; None where there is none in it."""
    scheme, _, rest = (header or "").strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip() or None
        case "basic":
            return _password(rest.strip())
    return None


def _password(credentials: str) -> str | None:
    """Whatever the user's name is: a token says who it is."""
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text.partition(":")[2] or None
