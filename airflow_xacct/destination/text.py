"""How values are shown in messages: enough to recognise them, never enough to use them.

No extra is a secret, but a person may paste one into the wrong field.
"""

from __future__ import annotations

import re

__all__ = ["kind_of", "listed", "mask", "show", "show_name"]

_SHOWN_CHARS = 60
_SEARCHED_CHARS = 400
_TAIL_CHARS = 4

# An access key id; a secret access key, which is 40 base64 characters; a session token, which is far longer;
# a private key. The secret key's upper, lower and numeric characters tell it from a path.
_BASE64 = "[A-Za-z0-9/+=]"
_LOOKS_SECRET = re.compile(
    r"(?:AKIA|ASIA)[A-Z0-9]{12,}"
    rf"|(?<!{_BASE64})(?=[^A-Z]{{0,39}}[A-Z])(?=[^a-z]{{0,39}}[a-z])(?=[^0-9]{{0,39}}[0-9]){_BASE64}{{40}}(?!{_BASE64})"
    rf"|{_BASE64}{{120}}"
    r"|-----BEGIN"
)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,39}")


def show(value: object) -> str:
    """Quote a value for a message: cut when it is long, masked when it looks like a credential."""
    if not isinstance(value, str):
        return repr(value)
    # only the beginning is ever shown, so only a secret that begins there can be
    if _LOOKS_SECRET.search(value[:_SEARCHED_CHARS]):
        return mask(value)
    # repr() escapes control characters and lone surrogates, which no log handler could encode
    if len(value) <= _SHOWN_CHARS:
        return repr(value)
    return f"{value[:_SHOWN_CHARS]!r} (cut, {len(value)} characters)"


def mask(value: object) -> str:
    """Show the last four characters of a value, or none of a short one."""
    text = str(value)
    if len(text) <= 2 * _TAIL_CHARS:
        return f"a value of {len(text)} characters"
    return f"a value that ends in {text[-_TAIL_CHARS:]!r}"


def show_name(name: object) -> str:
    """Quote the name of an unknown extra, unless it does not look like a name at all."""
    text = str(name)
    if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(text) or _LOOKS_SECRET.search(text):
        return f"with a name of {len(text)} characters that is not a word"
    return repr(text)


def kind_of(value: object) -> str:
    """Say what a value is, in the words of JSON where they exist."""
    if value is None:
        return "null"
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "text",
        dict: "an object",
        list: "a list",
    }
    return names.get(type(value), f"a {type(value).__name__}")


def listed(words: tuple[str, ...] | list[str], last: str = "or") -> str:
    """Join words into a phrase: ``a, b or c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
