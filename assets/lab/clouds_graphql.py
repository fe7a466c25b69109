"""
As much of GraphQL as the stand-ins for the clouds need: what a question asks for, and of a value just that.
"""

import json
import re
from typing import NamedTuple, Optional

WORDS = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|\$?[A-Za-z_]\w*|-?\d+(?:\.\d+)?|[{}()\[\]:!=]')
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
TOO_EARLY = "Syntax Error: the question ends too early"


class Refused(Exception):
    """Status, code and message of an answer that says no."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Field(NamedTuple):
    """A field that is asked for; `fields` are those within it (none: it is a plain value)."""

    key: str
    name: str
    arguments: dict
    fields: Optional[list]


def selection(question, variables):
    """The fields that a question asks for, with the values of their arguments."""
    words = [word for word in WORDS.findall(question) if not word.startswith("#")]
    at = 0

    def take(wanted=None):
        nonlocal at
        word = words[at]
        at += 1
        if wanted not in (None, word):
            raise invalid(f"Syntax Error: expected {wanted}, found {word}")
        return word

    def value():
        word = take()
        if word == "[":
            items = []
            while words[at] != "]":
                items.append(value())
            take()
            return items
        if word == "{":
            return named("}")
        if word.startswith("$"):
            return variables.get(word[1:])
        if word.startswith('"') or NUMBER.fullmatch(word):
            return json.loads(word)
        return {"true": True, "false": False, "null": None}.get(word, word)

    def named(end):
        found = {}
        while words[at] != end:
            name = take()
            take(":")
            found[name] = value()
        take()
        return found

    def fields():
        take("{")
        found = []
        while words[at] != "}":
            key = name = take()
            if words[at] == ":":
                take()
                name = take()
            arguments = {}
            if words[at] == "(":
                take()
                arguments = named(")")
            found.append(Field(key, name, arguments, fields() if words[at] == "{" else None))
        take()
        return found

    try:
        if words[at] == "query":
            take()
            while words[at] != "{":
                take()
        return fields()
    except (IndexError, RecursionError, ValueError):
        raise invalid(TOO_EARLY) from None


def invalid(message):
    return Refused(400, "GRAPHQL_VALIDATION_FAILED", message)


def chosen(value, fields, of="Query"):
    """Of a value, the fields that are asked for. One that can be called is called with its arguments."""
    if isinstance(value, list):
        return [chosen(item, fields, of) for item in value]
    if value is None:
        return None
    if fields is None:
        if isinstance(value, dict) and any(map(callable, value.values())):
            raise invalid(f'Field "{of}" must have a selection of subfields.')
        return value
    found = {}
    for field in fields:
        if field.name not in value:
            raise invalid(f'Cannot query field "{field.name}" on type "{of}".')
        inner = value[field.name]
        inner = inner(field) if callable(inner) else inner
        found[field.key] = chosen(inner, field.fields, field.name)
    return found
