"""Before the role: is STS there, is the clock right, and who are we."""

from __future__ import annotations

from datetime import timedelta

from airflow_xacct.doctor.answer import Answer
from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding, Remedy
from airflow_xacct.doctor.reasons import in_a
from airflow_xacct.doctor.watched import environment_proxies
from airflow_xacct.exceptions import ConfigurationError

__all__ = ["Clock", "SourceIdentity", "StsEndpoint", "path_of"]

#: AWS: *Signature Version 4*, "Timestamps": a request is taken within five minutes (S3: fifteen) of its time stamp.
MAX_SKEW = timedelta(minutes=5)
_CLOCK_CODES = frozenset(
    {"RequestExpired", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException"}
)
_METHODS = {
    "env": "keys in the environment",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the shared config file",
    "assume-role": "a profile that assumes a role",
    "assume-role-with-web-identity": "web identity (IRSA)",
    "container-role": "the container's role (ECS, EKS Pod Identity)",
    "iam-role": "the instance profile",
    "sso": "IAM Identity Center",
    "xacct-assume-role": "the role before it in the chain",
}


def path_of(facts: Facts, url: str) -> str:
    """The way to an endpoint, for a person: directly, or through which proxy."""
    configured = facts.destination.config_kwargs.get("proxies") or {}
    proxies = configured or environment_proxies(url)
    scheme = url.split("://", 1)[0]
    proxy = str(proxies.get(scheme, "")).rsplit("@", 1)[-1]
    if not proxy:
        return f"{url}, no proxy"
    return f"{url} through the proxy {proxy} (from {'config_kwargs' if configured else 'the environment'})"


class StsEndpoint(Check):
    """STS, where it will be asked; no identity is needed for that."""

    id = "sts-endpoint"
    title = "STS can be reached"
    proves = "Name resolution, route, TLS and proxy lead to an STS endpoint that the deployment allows."
    needs = ("connection", "source-connection")

    def examine(self, facts: Facts) -> Finding:
        """Ask without a signature: a refusal is an answer."""
        try:
            url = facts.access.anonymous_client("sts").meta.endpoint_url
        except ConfigurationError as error:
            return self.failed(f"{error.what}.", Remedy("A", "", error.remedy))
        answer = facts.sts_reached
        if answer.answered:
            return self.passed(f"{path_of(facts, url)}, region {facts.access.sts_region()}.")
        return self.failed(f"{path_of(facts, url)}: {_what(answer)}.", Remedy("A", "", _remedy(answer)))


class Clock(Check):
    """A wrong clock looks like wrong credentials, so it is compared first."""

    id = "clock"
    title = "The clock is right"
    proves = "Requests are signed with a time that AWS accepts, and credentials are refreshed in time."
    needs = ("sts-endpoint",)

    def examine(self, facts: Facts) -> Finding:
        """Compare with the Date header of STS."""
        skew = facts.skew
        if skew is None:
            return self.unseen("STS told no time.")
        seconds = round(skew.total_seconds())
        direction = "ahead of" if seconds > 0 else "behind"
        # the Date header has whole seconds
        close = abs(seconds) <= 1
        evidence = "within a second of AWS's" if close else f"this machine is {abs(seconds)} s {direction} AWS"
        if abs(skew) <= MAX_SKEW:
            return self.passed(f"{evidence}.")
        text = f"synchronise the clock of this machine (NTP); AWS takes {MAX_SKEW.seconds // 60} minutes at most."
        return self.failed(f"{evidence}.", in_a(facts, text))


class SourceIdentity(Check):
    """Whoever will ask for the role."""

    id = "source-identity"
    title = "There is an identity to assume the role with"
    proves = "AWS knows who asks; this ARN, or the role behind it, is what the trust policy has to name."
    needs = ("sts-endpoint",)

    def examine(self, facts: Facts) -> Finding:
        """Ask STS, which needs no permission."""
        answer = facts.identity
        if not answer.ok:
            if answer.code in _CLOCK_CODES and facts.skew is not None and abs(facts.skew) > MAX_SKEW:
                return self.depends(Clock.id, because=answer.said)
            return self.failed(f"{_what(answer)}.", Remedy("A", "", _remedy(answer)))
        arn = str(answer.data["Arn"])
        kind = _kind(arn)
        if kind == "root":
            return self.failed(
                f"{arn} is the root user, which can assume no role.", in_a(facts, "use a role or a user.")
            )
        method = str(getattr(facts.access.source.credentials(), "method", ""))
        from_where = _METHODS.get(method, method) or facts.access.source.description
        return self.passed(f"{arn}, {kind}, from {from_where}.")


def _kind(arn: str) -> str:
    resource = arn.split(":", 5)[-1]
    if resource.startswith("assumed-role/"):
        return "an assumed role (so a session lasts an hour at most)"
    if resource.startswith("user/"):
        return "a user with a long-lived key"
    return "root" if resource == "root" else resource.split("/")[0].replace("-", " ")


def _what(answer: Answer) -> str:
    return answer.error.what if answer.error else answer.said


def _remedy(answer: Answer) -> str:
    return answer.error.remedy if answer.error else ""
