"""Terraform configurations, one directory for each account that creates something.

The names are those of the provider ``hashicorp/aws``, version 5 or later.
"""

from __future__ import annotations

from typing import Any

from airflow_xacct.policies import access, buckets
from airflow_xacct.policies.hcl import Block, Raw, comment, render
from airflow_xacct.policies.setup import Setup

__all__ = ["bucket_configuration", "role_configuration", "worker_configuration"]


def worker_configuration(setup: Setup) -> str:
    """Account A: the workers' policy, attached to their role or user where that is known."""
    policy = Block(
        "resource",
        ("aws_iam_policy", "assume_role"),
        {"name": f"AssumeRole-{setup.role.account}-{setup.role.name}"[:128]},
        json_arguments={"policy": access.worker_policy(setup)},
    )
    blocks = [policy]
    if setup.principal and setup.trust == "principal":
        kind = "role" if ":role/" in setup.principal else "user"
        arguments = {kind: setup.principal.rsplit("/", 1)[-1], "policy_arn": Raw("aws_iam_policy.assume_role.arn")}
        blocks.append(Block("resource", (f"aws_iam_{kind}_policy_attachment", "assume_role"), arguments))
    blocks.append(_output("policy_arn", "Attach it to whoever runs the tasks", "aws_iam_policy.assume_role.arn"))
    title = f"Account A: may assume {setup.role.name} of account {setup.role.account}, and no other role."
    return _configuration(title, setup.principal_account, None, blocks)


def role_configuration(setup: Setup) -> str:
    """Account B: the role; and the bucket with all around it, where both belong to one account and it is new.

    :raises InvalidArgumentError: there is no External ID.
    """
    variables = [
        _variable("external_id", "Made by Account A, one for each destination; no secret", setup.external_id),
    ]
    principal = None
    if setup.trust == "principal":
        principal = Raw("var.trusted_principal_arn")
        text = "The execution role of Airflow's workers in Account A"
        variables.append(_variable("trusted_principal_arn", text, setup.principal))
    role = Block(
        "resource",
        ("aws_iam_role", "delivery"),
        {
            "name": setup.role.name,
            "path": setup.role.path,
            "description": f"Lets Account A deliver into the bucket {setup.bucket}",
            "max_session_duration": access.max_session_duration_seconds(setup),
        },
        json_arguments={
            "assume_role_policy": access.trust_policy(setup, external_id=Raw("var.external_id"), principal=principal)
        },
    )
    policy = Block(
        "resource",
        ("aws_iam_role_policy", "delivery"),
        {"name": "deliver", "role": Raw("aws_iam_role.delivery.id")},
        json_arguments={"policy": access.permission_policy(setup)},
    )
    blocks = [*variables, role, policy]
    if setup.one_account and not setup.existing_bucket:
        blocks += _bucket(setup)
    blocks += [
        _output("role_arn", "The connection's role_arn", "aws_iam_role.delivery.arn"),
        _output("external_id", "The connection's external_id", "var.external_id"),
    ]
    title = f"Account B: the role {setup.role.name} that Account A assumes."
    return _configuration(title, setup.role.account, setup.region, blocks)


def bucket_configuration(setup: Setup) -> str:
    """The bucket's owner, where that is another account than the role's."""
    title = f"The bucket {setup.bucket}, and what lets {setup.role.name} of account {setup.role.account} write to it."
    return _configuration(title, setup.bucket_owner, setup.region, _bucket(setup))


def _configuration(title: str, account: str, region: str | None, blocks: list[Block]) -> str:
    source = {"source": "hashicorp/aws", "version": ">= 5.0"}
    settings = Block("terraform", (), {}, [Block("required_providers", (), {"aws": source})])
    provider: dict[str, Any] = {}
    if region:
        provider["region"] = region
    if account:
        provider["allowed_account_ids"] = [account]
    return comment(title) + render([settings, Block("provider", ("aws",), provider), *blocks])


def _variable(name: str, description: str, default: str | None) -> Block:
    arguments: dict[str, Any] = {"type": Raw("string"), "description": description}
    if default:
        arguments["default"] = default
    return Block("variable", (name,), arguments)


def _output(name: str, description: str, value: str) -> Block:
    return Block("output", (name,), {"description": description, "value": Raw(value)})


def _s3(kind: str, name: str, **arguments: Any) -> Block:
    """One of the many resources around a bucket."""
    inner = arguments.pop("inner", ())
    document = arguments.pop("document", {})
    bucket = {"bucket": Raw(f"aws_s3_bucket.{name}.id")}
    return Block("resource", (f"aws_s3_bucket_{kind}", name), {**bucket, **arguments}, inner, document)


def _bucket(setup: Setup) -> list[Block]:
    blocks = [
        *_closed_bucket("deliveries", setup.bucket),
        _s3("policy", "deliveries", document={"policy": buckets.bucket_policy(setup)}),
        _s3("lifecycle_configuration", "deliveries", inner=[_lifecycle_rule(setup)]),
    ]
    if setup.key_arn is not None:
        default = Block(
            "apply_server_side_encryption_by_default",
            (),
            {"sse_algorithm": "aws:kms", "kms_master_key_id": setup.key_arn},
        )
        rule = Block("rule", (), {"bucket_key_enabled": True}, [default])
        blocks.append(_s3("server_side_encryption_configuration", "deliveries", inner=[rule]))
    if setup.versioning:
        versions = Block("versioning_configuration", (), {"status": buckets.versioning()["Status"]})
        blocks.append(_s3("versioning", "deliveries", inner=[versions]))
    if setup.log_bucket:
        blocks += _logs(setup, setup.log_bucket)
    if setup.trail:
        blocks.append(_trail(setup, setup.trail))
    return blocks


def _closed_bucket(label: str, name: str) -> list[Block]:
    """A bucket whose owner owns everything in it, and that is not public."""
    blocked = buckets.public_access_block()
    (ownership,) = buckets.ownership()["Rules"]
    return [
        Block("resource", ("aws_s3_bucket", label), {"bucket": name}),
        _s3("ownership_controls", label, inner=[Block("rule", (), {"object_ownership": ownership["ObjectOwnership"]})]),
        _s3(
            "public_access_block",
            label,
            block_public_acls=blocked["BlockPublicAcls"],
            block_public_policy=blocked["BlockPublicPolicy"],
            ignore_public_acls=blocked["IgnorePublicAcls"],
            restrict_public_buckets=blocked["RestrictPublicBuckets"],
        ),
    ]


def _lifecycle_rule(setup: Setup) -> Block:
    abort = Block("abort_incomplete_multipart_upload", (), {"days_after_initiation": buckets.ABORT_AFTER_DAYS})
    where = Block("filter", (), {"prefix": setup.prefix})
    return Block("rule", (), {"id": buckets.LIFECYCLE_RULE_ID, "status": "Enabled"}, [where, abort])


def _logs(setup: Setup, name: str) -> list[Block]:
    return [
        *_closed_bucket("logs", name),
        _s3("policy", "logs", document={"policy": buckets.log_bucket_policy(setup)}),
        _s3(
            "logging",
            "deliveries",
            # S3 checks that it may write there when logging is switched on
            depends_on=[Raw("aws_s3_bucket_policy.logs")],
            target_bucket=Raw("aws_s3_bucket.logs.id"),
            target_prefix=buckets.log_prefix(setup),
        ),
    ]


def _trail(setup: Setup, name: str) -> Block:
    (selector,) = buckets.data_event_selectors(setup)
    conditions = {"Equals": "equals", "StartsWith": "starts_with"}
    fields = [
        Block(
            "field_selector",
            (),
            {"field": item["Field"], **{conditions[key]: value for key, value in item.items() if key != "Field"}},
        )
        for item in selector["FieldSelectors"]
    ]
    return Block(
        "resource",
        ("aws_cloudtrail", "deliveries"),
        {
            "depends_on": [Raw("aws_s3_bucket_policy.logs")],
            "name": name,
            "s3_bucket_name": Raw("aws_s3_bucket.logs.id"),
            "s3_key_prefix": buckets.TRAIL_PREFIX,
            "enable_log_file_validation": True,
        },
        [Block("advanced_event_selector", (), {"name": selector["Name"]}, fields)],
    )
