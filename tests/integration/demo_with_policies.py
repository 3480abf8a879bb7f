"""``airflow-xacct demo`` in accounts that are set up by what ``airflow-xacct policy`` prints."""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow_xacct.cli.main import main
from airflow_xacct.destination import parse
from airflow_xacct.policies import Setup, documents
from airflow_xacct.sandbox import Sandbox, Scenario, sandbox, two_accounts

__all__: list[str] = []


def set_up(box: Sandbox, **options: Any) -> Scenario:
    """The standard case, each of its policies replaced."""
    scenario = two_accounts(box, **options)
    partner = scenario.partner
    extra = {name: value for name, value in partner.connection_extra.items() if name != "endpoint_url"}
    setup = Setup.of(parse("xacct_default", extra), principal=scenario.worker.user_arn)
    body = {document.name: document.body for document in documents(setup)}
    # the sandbox speaks plain HTTP
    statements = body["b-bucket-policy"]["Statement"]
    body["b-bucket-policy"]["Statement"] = [item for item in statements if item["Sid"] != "DenyInsecureTransport"]
    text = {name: json.dumps(item) for name, item in body.items()}
    scenario.account_a.client("iam").put_user_policy(
        UserName=scenario.worker.user_arn.rsplit("/", 1)[-1],
        PolicyName="sandbox",
        PolicyDocument=text["a-worker-policy"],
    )
    iam, s3 = partner.account.client("iam"), partner.account.client("s3")
    iam.update_assume_role_policy(RoleName=partner.role_name, PolicyDocument=text["b-role-trust"])
    iam.put_role_policy(RoleName=partner.role_name, PolicyName="sandbox", PolicyDocument=text["b-role-permissions"])
    s3.put_bucket_policy(Bucket=partner.bucket, Policy=text["b-bucket-policy"])
    s3.put_bucket_lifecycle_configuration(Bucket=partner.bucket, LifecycleConfiguration=body["b-bucket-lifecycle"])
    print(f"policies of {len(text)} documents are in place", flush=True)
    return scenario


if __name__ == "__main__":
    sandbox.two_accounts = set_up
    sys.exit(main(["demo"]))
