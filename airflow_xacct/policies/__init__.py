"""Everything that both account owners must create for one destination, and nothing more. Pure.

:class:`Setup` says what they agreed on; :func:`documents` makes AWS's own documents of it, and :func:`files` those, or
CloudFormation templates, or Terraform configurations.
"""

from __future__ import annotations

from airflow_xacct.policies.documents import Document, Side, documents
from airflow_xacct.policies.files import File, Format, files, printed
from airflow_xacct.policies.setup import ABILITIES, Setup, Trust

__all__ = ["ABILITIES", "Document", "File", "Format", "Setup", "Side", "Trust", "documents", "files", "printed"]
