"""What is printed, or written to a directory: documents, templates or configurations, each with its heading."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from airflow_xacct.policies import cloudformation, terraform
from airflow_xacct.policies.documents import Document, Side, documents, key_document
from airflow_xacct.policies.setup import Setup

__all__ = ["File", "Format", "files", "printed"]

Format = Literal["json", "cloudformation", "terraform"]

_WIDTH_CHARS = 80
# what a template would take over from an owner who has a bucket already
_OF_BUCKET = "b-bucket-"


@dataclass(frozen=True, slots=True)
class File:
    """One file.

    :param path: relative, with ``/``.
    :param owner: who uses it.
    :param title: what it is.
    :param notes: how to use it, and AWS's page on it; one line each.
    """

    path: str
    owner: str
    title: str
    notes: tuple[str, ...]
    text: str


def files(setup: Setup, form: Format = "json", sides: Sequence[Side] = ("a", "b")) -> list[File]:
    """The files of both sides, or of one.

    A template holds whatever is new. What belongs to something that is there already (the policy of a key, all of an
    existing bucket) comes as documents, since a template would replace what its owner has set.

    :raises InvalidArgumentError: side B is asked for, and there is no External ID.
    """
    if form == "json":
        return [_of_document(document) for document in documents(setup, sides)]
    return [*(_templates(setup, form, sides)), *(_loose(setup) if "b" in sides else ())]


def printed(file: File) -> str:
    """A file with its heading: who creates it and how."""
    lines = textwrap.wrap(f"{file.owner}: {file.title}", _WIDTH_CHARS - 2, break_on_hyphens=False)
    for note in file.notes:
        lines += textwrap.wrap(
            note, _WIDTH_CHARS - 2, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )
    return "".join(f"# {line}\n" for line in lines) + file.text


def _of_document(document: Document) -> File:
    notes = (document.how, f"AWS: {document.page}")
    return File(document.file_name, document.owner, document.title, notes, document.text)


def _templates(setup: Setup, form: Format, sides: Sequence[Side]) -> Iterator[File]:
    account_a = f"Account A ({setup.principal_account})" if setup.principal_account else "Account A"
    if "a" in sides:
        text = (
            cloudformation.template_text(cloudformation.worker_template(setup))
            if form == "cloudformation"
            else terraform.worker_configuration(setup)
        )
        yield _of_template(form, "account-a", account_a, "lets the workers assume the role", text)
    if "b" in sides:
        text = (
            cloudformation.template_text(cloudformation.role_template(setup))
            if form == "cloudformation"
            else terraform.role_configuration(setup)
        )
        what = "the role" if setup.existing_bucket or not setup.one_account else "the role and its bucket"
        yield _of_template(form, "account-b", f"Account B ({setup.role.account})", what, text)
    if "b" in sides and not setup.one_account and not setup.existing_bucket:
        text = (
            cloudformation.template_text(cloudformation.bucket_template(setup))
            if form == "cloudformation"
            else terraform.bucket_configuration(setup)
        )
        yield _of_template(form, "bucket-owner", f"the bucket's owner ({setup.bucket_owner})", "the bucket", text)


def _of_template(form: Format, name: str, owner: str, title: str, text: str) -> File:
    if form == "terraform":
        path = f"{name}/main.tf"
        return File(path, owner, title, (f"terraform -chdir={name} init", f"terraform -chdir={name} apply"), text)
    path = f"{name}.template.json"
    how = f"aws cloudformation deploy --stack-name airflow-xacct --template-file {path}"
    named = " --capabilities CAPABILITY_NAMED_IAM" if name == "account-b" else " --capabilities CAPABILITY_IAM"
    return File(path, owner, title, (how + ("" if name == "bucket-owner" else named),), text)


def _loose(setup: Setup) -> Iterator[File]:
    """Documents beside the templates."""
    if (key := key_document(setup)) is not None:
        yield _of_document(key)
    if setup.existing_bucket:
        for document in documents(setup, ("b",)):
            if document.name.startswith((_OF_BUCKET, "b-log-bucket-")):
                yield _of_document(document)
    if not setup.trail or setup.existing_bucket:
        yield from (_of_document(item) for item in documents(setup, ("b",)) if item.name == "b-data-events")
