"""Who audits, with which credentials, and the clients made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.config import Config

from airflow_xacct.access.core import core_session
from airflow_xacct.access.refusals import RefusalContext, translate
from airflow_xacct.access.session import RoleAccess, WorkerIdentity, worker_region
from airflow_xacct.destination import Destination
from airflow_xacct.exceptions import ConfigurationError, NoCredentialsError

__all__ = ["Auditor"]

# calls to STS's global endpoint are recorded here (AWS: *Logging IAM and AWS STS API calls with AWS CloudTrail*)
_GLOBAL_REGION = "us-east-1"


@dataclass(frozen=True)
class Auditor:
    """Who looks.

    :param region: of its profile or of this machine.
    :param is_source: whether it is the identity that assumes the role.
    :param hop: the ARN of the role that assumes the role, in a chain.
    """

    credentials: Any
    arn: str
    account: str
    region: str | None
    is_source: bool
    hop: str

    @classmethod
    def of(cls, destination: Destination, source: Any, *, profile: str | None, side: str | None) -> Auditor:
        """Find credentials, and ask STS whose they are.

        :param source: whoever assumes the role of the connection; ``None`` without one.
        :param profile: wins over everything else.
        :param side: for ``b`` the source is not asked: it is A's.
        :raises AccessError: there are none, or STS does not know them.
        """
        hop = str(source.destination.role) if isinstance(source, RoleAccess) else ""
        while isinstance(source, RoleAccess):  # the first link of a chain is the one with rights of its own
            source = source.source
        region = worker_region()
        if profile:
            credentials, own_region = _of_profile(profile)
            region = own_region or region
        else:
            credentials = (WorkerIdentity() if side == "b" or source is None else source).credentials()
        arn, account = _who(credentials, destination, region)
        return cls(credentials, arn, account, region, source is not None and not (profile or hop or side == "b"), hop)

    def client(self, destination: Destination, service: str, region: str | None) -> Any:
        """A client with the connection's endpoint and settings, and the auditor's rights; whoever asks closes it."""
        return _client(self.credentials, destination, service, region)

    def regions(self, destination: Destination, wish: str | None) -> list[str]:
        """The regions whose history is read.

        :param wish: names separated by commas, or ``all``.
        :raises ConfigurationError: none is known.
        """
        partition = destination.role.partition
        if wish == "all":
            return list(botocore.session.Session().get_available_regions("cloudtrail", partition_name=partition))
        if wish is not None:
            named = [region.strip() for region in wish.split(",") if region.strip()]
        else:
            own = destination.sts_region_name
            places = [own] if own else [self.region, destination.region_name]
            named = [region for region in places if region]
            if partition == "aws":
                named.append(_GLOBAL_REGION)
        if not named:
            raise ConfigurationError("no region is known", where="--regions", remedy="Name those whose STS is used.")
        return list(dict.fromkeys(named))


def _of_profile(name: str) -> tuple[Any, str | None]:
    try:
        session = botocore.session.Session(profile=name)
        credentials = session.get_credentials()
        region: str | None = session.get_config_variable("region")
    except Exception as error:
        raise _no_profile(name, str(error)) from error
    if credentials is None:
        raise _no_profile(name, "it has no credentials")
    return credentials, region


def _no_profile(name: str, why: str) -> NoCredentialsError:
    return NoCredentialsError(
        f"the profile {name!r} gives no credentials ({why})",
        where="--profile",
        remedy="Name one of the shared config or credentials file.",
    )


def _client(credentials: Any, destination: Destination, service: str, region: str | None) -> Any:
    return core_session(credentials, region).create_client(
        service,
        endpoint_url=destination.endpoint_for(service) or None,
        verify=destination.verify_argument,
        config=Config(**destination.config_kwargs),
    )


def _who(credentials: Any, destination: Destination, region: str | None) -> tuple[str, str]:
    place = destination.sts_region_name or region or destination.region_name or _GLOBAL_REGION
    try:
        client = _client(credentials, destination, "sts", place)
        try:
            answer = client.get_caller_identity()
        finally:
            client.close()
    except Exception as error:
        context = RefusalContext(
            conn_id=destination.conn_id,
            role_arn=str(destination.role),
            role_account=destination.role.account,
            bucket_owner=destination.bucket_owner,
            external_id=destination.external_id,
            source="whoever runs the audit",
        )
        raise translate(error, context=context, action="sts:GetCallerIdentity") from error
    return str(answer["Arn"]), str(answer["Account"])
