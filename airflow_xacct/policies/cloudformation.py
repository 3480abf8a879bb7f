"""CloudFormation templates, one for each account that creates something."""

from __future__ import annotations

import json
from typing import Any

from airflow_xacct.policies import access, buckets
from airflow_xacct.policies.setup import Setup

__all__ = ["bucket_template", "role_template", "template_text", "worker_template"]

Template = dict[str, Any]

_KEEP = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}


def template_text(template: Template) -> str:
    """A template as JSON in ASCII, in the order of its making."""
    return json.dumps(template, indent=2) + "\n"


def worker_template(setup: Setup) -> Template:
    """Account A: the workers' policy, attached to their role or user where that is known."""
    properties: dict[str, Any] = {
        "Description": f"Lets Airflow's workers assume {setup.role.name} of account {setup.role.account}",
        "PolicyDocument": access.worker_policy(setup),
    }
    if setup.principal and setup.trust == "principal":
        kind = "Roles" if ":role/" in setup.principal else "Users"
        properties[kind] = [setup.principal.rsplit("/", 1)[-1]]
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": properties}
    return _template(
        f"Account A: may assume {setup.role.name} of account {setup.role.account}, and no other role.",
        setup.principal_account,
        {},
        {"AssumeRolePolicy": policy},
        {"PolicyArn": {"Description": "Attach it to whoever runs the tasks", "Value": {"Ref": "AssumeRolePolicy"}}},
    )


def role_template(setup: Setup) -> Template:
    """Account B: the role; and the bucket with all around it, where both belong to one account and it is new.

    :raises InvalidArgumentError: there is no External ID.
    """
    parameters: dict[str, Any] = {
        "ExternalId": {
            "Type": "String",
            "Description": "Made by Account A, one for each destination; no secret",
            "Default": setup.external_id,
            "MinLength": 2,
            "MaxLength": 1224,
            "AllowedPattern": "[A-Za-z0-9_+=,.@:/-]+",
        }
    }
    principal = None
    if setup.trust == "principal":
        principal = {"Ref": "TrustedPrincipalArn"}
        parameters["TrustedPrincipalArn"] = {
            "Type": "String",
            "Description": "The execution role of Airflow's workers in Account A",
            "AllowedPattern": "arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/.+",
            **({"Default": setup.principal} if setup.principal else {}),
        }
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": setup.role.name,
            "Path": setup.role.path,
            "Description": f"Lets Account A deliver into the bucket {setup.bucket}",
            "MaxSessionDuration": access.max_session_duration_seconds(setup),
            "AssumeRolePolicyDocument": access.trust_policy(
                setup, external_id={"Ref": "ExternalId"}, principal=principal
            ),
            "Policies": [{"PolicyName": "deliver", "PolicyDocument": access.permission_policy(setup)}],
        },
    }
    outputs = {
        "RoleArn": {"Description": "The connection's role_arn", "Value": {"Fn::GetAtt": ["DeliveryRole", "Arn"]}},
        "ExternalIdOutput": {"Description": "The connection's external_id", "Value": {"Ref": "ExternalId"}},
    }
    resources: dict[str, Any] = {"DeliveryRole": role}
    if setup.one_account and not setup.existing_bucket:
        resources |= _bucket_resources(setup)
        outputs["BucketName"] = {"Description": "The connection's bucket", "Value": {"Ref": "Bucket"}}
    return _template(
        f"Account B: the role {setup.role.name} that Account A assumes.",
        setup.role.account,
        parameters,
        resources,
        outputs,
    )


def bucket_template(setup: Setup) -> Template:
    """The bucket's owner, where that is another account than the role's."""
    return _template(
        f"The bucket {setup.bucket}, and what lets {setup.role.name} of account {setup.role.account} write to it.",
        setup.bucket_owner,
        {},
        _bucket_resources(setup),
        {"BucketName": {"Description": "The connection's bucket", "Value": {"Ref": "Bucket"}}},
    )


def _template(description: str, account: str, parameters: Template, resources: Template, outputs: Template) -> Template:
    template: Template = {"AWSTemplateFormatVersion": "2010-09-09", "Description": description[:1024]}
    if parameters:
        template["Parameters"] = parameters
    if account:
        assertion = {
            "Assert": {"Fn::Equals": [{"Ref": "AWS::AccountId"}, account]},
            "AssertDescription": f"This template is for account {account}",
        }
        template["Rules"] = {"RightAccount": {"Assertions": [assertion]}}
    return {**template, "Resources": resources, "Outputs": outputs}


def _bucket_resources(setup: Setup) -> Template:
    properties: dict[str, Any] = {
        "BucketName": setup.bucket,
        "OwnershipControls": buckets.ownership(),
        "PublicAccessBlockConfiguration": buckets.public_access_block(),
        "LifecycleConfiguration": {"Rules": [_lifecycle_rule(setup)]},
    }
    if (encryption := buckets.encryption(setup)) is not None:
        (rule,) = encryption["Rules"]
        by_default = {"ServerSideEncryptionByDefault": rule["ApplyServerSideEncryptionByDefault"]}
        properties["BucketEncryption"] = {
            "ServerSideEncryptionConfiguration": [{**by_default, "BucketKeyEnabled": rule["BucketKeyEnabled"]}]
        }
    if setup.versioning:
        properties["VersioningConfiguration"] = buckets.versioning()
    bucket: Template = {"Type": "AWS::S3::Bucket", **_KEEP, "Properties": properties}
    resources: Template = {"Bucket": bucket, "BucketPolicy": _bucket_policy("Bucket", buckets.bucket_policy(setup))}
    if setup.log_bucket:
        # S3 checks that it may write there when logging is switched on
        bucket["DependsOn"] = "LogBucketPolicy"
        properties["LoggingConfiguration"] = {
            "DestinationBucketName": {"Ref": "LogBucket"},
            "LogFilePrefix": buckets.log_prefix(setup),
        }
        resources |= _log_resources(setup, setup.log_bucket)
    if setup.trail:
        resources["Trail"] = _trail(setup)
    return resources


def _lifecycle_rule(setup: Setup) -> Template:
    (rule,) = buckets.lifecycle(setup)["Rules"]
    return {
        "Id": rule["ID"],
        "Status": rule["Status"],
        **({"Prefix": setup.prefix} if setup.prefix else {}),
        "AbortIncompleteMultipartUpload": rule["AbortIncompleteMultipartUpload"],
    }


def _bucket_policy(bucket: str, document: access.Body) -> Template:
    return {"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": {"Ref": bucket}, "PolicyDocument": document}}


def _log_resources(setup: Setup, name: str) -> Template:
    log_bucket = {
        "Type": "AWS::S3::Bucket",
        **_KEEP,
        "Properties": {
            "BucketName": name,
            "OwnershipControls": buckets.ownership(),
            "PublicAccessBlockConfiguration": buckets.public_access_block(),
        },
    }
    return {"LogBucket": log_bucket, "LogBucketPolicy": _bucket_policy("LogBucket", buckets.log_bucket_policy(setup))}


def _trail(setup: Setup) -> Template:
    return {
        "Type": "AWS::CloudTrail::Trail",
        "DependsOn": "LogBucketPolicy",
        "Properties": {
            "TrailName": setup.trail,
            "IsLogging": True,
            "EnableLogFileValidation": True,
            "S3BucketName": {"Ref": "LogBucket"},
            "S3KeyPrefix": buckets.TRAIL_PREFIX,
            "AdvancedEventSelectors": buckets.data_event_selectors(setup),
        },
    }
