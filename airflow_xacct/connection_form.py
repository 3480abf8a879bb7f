"""The connection form, made from the table of extras.

Airflow 3.2 and later read the form from the provider's metadata; 2.11 to 3.1 call two methods of the hook.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow_xacct.destination.field import Field
from airflow_xacct.destination.fields import FIELDS

__all__ = ["conn_fields", "get_connection_form_widgets", "get_ui_field_behaviour", "ui_field_behaviour"]

_JSON_TYPES = {"text": "string", "integer": "integer", "boolean": "boolean", "boolean or object": "boolean"}
# A connection of this type holds no keys and no host. "extra" stays: it takes the extras that the form leaves out.
_HIDDEN = ("host", "port", "login", "password", "schema")


def form_fields() -> tuple[Field, ...]:
    """Return the extras that the form shows, in its order."""
    return tuple(field for field in FIELDS if field.in_form)


def conn_fields() -> dict[str, dict[str, Any]]:
    """Return the fields of the form, as the metadata of Airflow 3.2 and later describes them."""
    return {
        field.name: {
            "label": field.label,
            "description": description(field),
            "schema": _schema(field),
        }
        for field in form_fields()
    }


def ui_field_behaviour() -> dict[str, Any]:
    """Return which standard fields are hidden, and the placeholders, in the spelling of the metadata."""
    return {
        "hidden-fields": list(_HIDDEN),
        "relabeling": {},
        "placeholders": {field.name: str(field.example) for field in form_fields() if _shows_example(field)},
    }


def get_ui_field_behaviour() -> dict[str, Any]:
    """Return the same for Airflow 2.11 to 3.1."""
    return {key.replace("-", "_"): value for key, value in ui_field_behaviour().items()}


def get_connection_form_widgets() -> dict[str, Any]:
    """Return the fields of the form for Airflow 2.11 to 3.1, as fields of WTForms.

    WTForms is imported here, since only a web server of those versions has it.
    """
    wtforms = import_module("wtforms")
    optional = import_module("wtforms.validators").Optional
    text_widget = import_module("flask_appbuilder.fieldwidgets").BS3TextFieldWidget
    translated = import_module("flask_babel").lazy_gettext

    widgets: dict[str, Any] = {}
    for field in form_fields():
        label, help_text = translated(field.label), description(field)
        if _JSON_TYPES[field.kind] == "boolean":
            widgets[field.name] = wtforms.BooleanField(label, description=help_text)
            continue
        kind = wtforms.IntegerField if field.kind == "integer" else wtforms.StringField
        # Optional, also where required: the parser says what is missing, with its remedy.
        widgets[field.name] = kind(label, widget=text_widget(), validators=[optional()], description=help_text)
    return widgets


def description(field: Field) -> str:
    """Return the help text of a field: what it is, and what its absence means."""
    parts = [field.help]
    if field.default:
        parts.append(f"Default: {field.default}.")
    if _shows_example(field):
        parts.append(f"Example: {field.example}")
    return " ".join(parts)


def _shows_example(field: Field) -> bool:
    # An example of an External ID would be copied, and then be anything but one per partner.
    return field.kind == "text" and not field.masked


def _schema(field: Field) -> dict[str, Any]:
    """Return the JSON schema of a field. A type without null is one that the form insists on."""
    json_type = _JSON_TYPES[field.kind]
    schema: dict[str, Any] = {"type": json_type if field.required else [json_type, "null"]}
    limits = {
        "minimum": field.minimum,
        "maximum": field.maximum,
        "minLength": field.min_length,
        "maxLength": field.max_length,
    }
    schema |= {name: limit for name, limit in limits.items() if limit is not None}
    if field.pattern:
        schema["pattern"] = f"^{field.pattern}$"
    return schema
