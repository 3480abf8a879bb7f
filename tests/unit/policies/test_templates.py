"""Templates and configurations: clean for AWS's and Terraform's own tools, and the same as the documents."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_xacct.policies import File, documents, files
from airflow_xacct.policies.access import permission_policy, trust_policy
from airflow_xacct.policies.buckets import bucket_policy, log_bucket_policy
from airflow_xacct.policies.hcl import Block, render
from tests.unit.policies.policy_matrix import FULL, MATRIX, make, setup_of

TERRAFORM = shutil.which("terraform")
needs_terraform = pytest.mark.skipif(TERRAFORM is None, reason="there is no terraform on this machine's PATH")


def write(made: list[File], directory: Path) -> Path:
    """Write files as the command does."""
    for file in made:
        path = directory / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text, encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every CloudFormation template of the matrix."""
    root = tmp_path_factory.mktemp("cloudformation")
    for title in MATRIX:
        write(files(setup_of(title), "cloudformation"), root / title.replace(" ", "-"))
    return root


@pytest.fixture(scope="module")
def configurations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every Terraform configuration of the matrix."""
    root = tmp_path_factory.mktemp("terraform")
    for title in MATRIX:
        write(files(setup_of(title), "terraform"), root / title.replace(" ", "-"))
    return root


def lint(paths: list[Path]) -> list[str]:
    """What cfn-lint finds, warnings and information included."""
    command = [Path(sys.executable).with_name("cfn-lint"), "--format", "json", "--regions", "us-east-1", "cn-north-1"]
    done = subprocess.run([*command, "--", *paths], capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return [f"{item['Filename']}: {item['Rule']['Id']} {item['Message']}" for item in json.loads(done.stdout or "[]")]


def test_cfn_lint_is_clean(templates: Path, tmp_path: Path) -> None:
    """Over the whole matrix; a broken template beside it shows that the linter looks."""
    paths = sorted(templates.rglob("*.template.json"))
    assert len(paths) > 2 * len(MATRIX)
    template = json.loads((templates / "minimal" / "account-b.template.json").read_text())
    template["Resources"]["Bucket"]["Properties"]["Nonsense"] = "x"
    broken = tmp_path / "broken.template.json"
    broken.write_text(json.dumps(template))
    (finding,) = lint([*paths, broken])
    assert "broken.template.json" in finding
    assert "Nonsense" in finding


def terraform(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run terraform, without the settings of whoever runs the tests, but for where its plugins are."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_CLI_CONFIG_FILE" or Path(value).exists()}
    environment = {**kept, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    return subprocess.run(
        ["terraform", f"-chdir={directory}", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=240,
    )


@needs_terraform
def test_terraform_fmt_has_nothing_to_do(configurations: Path) -> None:
    """The writer writes as ``terraform fmt`` does."""
    assert len(list(configurations.rglob("*.tf"))) > 2 * len(MATRIX)
    done = terraform(configurations, "fmt", "-check", "-recursive", "-diff")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that ``terraform init`` has prepared with the AWS provider, which is not downloaded for a test."""
    if TERRAFORM is None:
        pytest.skip("there is no terraform on this machine's PATH")
    if not ({"TF_CLI_ARGS_init", "TF_PLUGIN_CACHE_DIR"} & set(os.environ)):
        pytest.skip("where Terraform's AWS provider is, is not told: TF_CLI_ARGS_init=-plugin-dir=DIR does")
    root = write(files(make(), "terraform", ("a",)), tmp_path_factory.mktemp("init")) / "account-a"
    done = terraform(root, "init", "-backend=false", "-input=false", "-no-color")
    assert done.returncode == 0, done.stderr
    return root


EVERY_BLOCK = ("everything/account-a", "everything/account-b", "two-owners/bucket-owner", "minimal/account-b")


def test_terraform_validate_is_content(configurations: Path, plugins: Path) -> None:
    """With the schema of the real AWS provider; these four have every kind of block, and each takes seconds."""
    for place in EVERY_BLOCK:
        path = configurations / place / "main.tf"
        shutil.copytree(plugins / ".terraform", path.parent / ".terraform", symlinks=True)
        shutil.copy(plugins / ".terraform.lock.hcl", path.parent)
        done = terraform(path.parent, "validate", "-json")
        assert json.loads(done.stdout)["diagnostics"] == [], path


@needs_terraform
def test_terraform_reads_what_was_meant(tmp_path: Path) -> None:
    """Terraform itself evaluates the written policies to the documents, whatever letters are in them."""
    setup = make(FULL, any_kms_key=True, log_bucket="acme-logs", trail="acme")
    values: dict[str, Any] = {
        "trust": trust_policy(setup),
        "permissions": permission_policy(setup),
        "bucket": bucket_policy(setup),
        "logs": log_bucket_policy(setup),
        "hostile": {'a"b': ["${x}", "%{y}", "$${z}", "\\", "\n\t", "é", "$", "%"], "plain": True, "number": 7},
        "nested": [{"a": [{"b": "c"}]}, "d", []],
    }
    blocks = [Block("output", (name,), {"value": value}) for name, value in values.items()]
    (tmp_path / "main.tf").write_text(render(blocks), encoding="utf-8")
    for arguments in (("init", "-input=false"), ("apply", "-auto-approve", "-input=false"), ("fmt", "-check")):
        done = terraform(tmp_path, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    outputs = json.loads(terraform(tmp_path, "output", "-json").stdout)
    assert {name: item["value"] for name, item in outputs.items()} == values


@needs_terraform
def test_a_block_without_content_is_one_line(tmp_path: Path) -> None:
    """As ``terraform fmt`` leaves it."""
    (tmp_path / "main.tf").write_text(render([Block("provider", ("aws",)), Block("locals", (), {"a": {}, "b": []})]))
    done = terraform(tmp_path, "fmt", "-check", "-diff")
    assert (done.returncode, done.stdout) == (0, "")


def resolved(value: Any, parameters: dict[str, Any]) -> Any:
    """A template's value with its parameters' defaults."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            return parameters.get(value["Ref"], {}).get("Default", value)
        return {key: resolved(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, parameters) for item in value]
    return value


def test_the_template_holds_the_documents(templates: Path) -> None:
    """The policies in CloudFormation's templates are those of the JSON form."""
    body = {item.name: item.body for item in documents(setup_of("everything"))}
    template = json.loads((templates / "everything" / "account-b.template.json").read_text())
    resources = resolved(template["Resources"], template["Parameters"])
    role = resources["DeliveryRole"]["Properties"]
    assert role["AssumeRolePolicyDocument"] == body["b-role-trust"]
    assert [item["PolicyDocument"] for item in role["Policies"]] == [body["b-role-permissions"]]
    assert resources["BucketPolicy"]["Properties"]["PolicyDocument"] == body["b-bucket-policy"]
    assert resources["LogBucketPolicy"]["Properties"]["PolicyDocument"] == body["b-log-bucket-policy"]
    assert resources["Trail"]["Properties"]["AdvancedEventSelectors"] == body["b-data-events"]
    assert (role["Path"], role["RoleName"], role["MaxSessionDuration"]) == ("/team/x/", "DataDumpRole", 7200)
    worker = json.loads((templates / "everything" / "account-a.template.json").read_text())
    assert worker["Resources"]["AssumeRolePolicy"]["Properties"]["PolicyDocument"] == body["a-worker-policy"]


def test_an_unknown_principal_is_asked_for(templates: Path, configurations: Path) -> None:
    """A parameter, or variable, without a default."""
    template = json.loads((templates / "minimal" / "account-b.template.json").read_text())
    assert "Default" not in template["Parameters"]["TrustedPrincipalArn"]
    text = (configurations / "minimal" / "account-b" / "main.tf").read_text()
    block = text.split('variable "trusted_principal_arn" {')[1].split("}")[0]
    assert "default" not in block


def test_no_template_touches_what_is_there(templates: Path, configurations: Path) -> None:
    """An existing bucket has a policy and rules of its owner's, which a template would replace."""
    folder = templates / "existing-bucket"
    template = json.loads((folder / "account-b.template.json").read_text())
    assert set(template["Resources"]) == {"DeliveryRole"}
    assert "aws_s3_bucket" not in (configurations / "existing-bucket" / "account-b" / "main.tf").read_text()
    loose = {path.name for path in folder.glob("b-*.json")}
    assert {
        "b-bucket-policy.json",
        "b-bucket-lifecycle.json",
        "b-log-bucket-policy.json",
        "b-key-statement.json",
    } <= loose


def test_each_owner_gets_what_is_theirs() -> None:
    """Three accounts, three templates; one side at a time."""
    setup = setup_of("two owners")
    paths = [file.path for file in files(setup, "cloudformation")]
    assert paths[:3] == ["account-a.template.json", "account-b.template.json", "bucket-owner.template.json"]
    assert [file.path for file in files(setup, "terraform", ("a",))] == ["account-a/main.tf"]
    assert all(file.path.startswith("b-") for file in files(setup, "json", ("b",)))


def test_a_created_bucket_outlives_its_stack(templates: Path) -> None:
    """Deleting the stack deletes no data."""
    template = json.loads((templates / "everything" / "account-b.template.json").read_text())
    for name in ("Bucket", "LogBucket"):
        assert template["Resources"][name]["DeletionPolicy"] == "Retain"
