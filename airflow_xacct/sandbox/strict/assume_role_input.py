"""The parameters of AssumeRole and their constraints (AWS: *AssumeRole*, "Request Parameters")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_xacct.sandbox.strict.answers import Refusal

__all__ = ["AssumeRoleInput"]

_ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
_NAME = r"[\w+=,.@-]*"
_EXTERNAL_ID = r"[\w+=,.@:\/-]*"


@dataclass(frozen=True, slots=True)
class AssumeRoleInput:
    """One AssumeRole request. ``external_id`` is ``None`` when it was left out, which is not the same as empty."""

    role_arn: str = ""
    session_name: str = ""
    external_id: str | None = None
    duration: str = "3600"
    policy: str = ""
    source_identity: str = ""
    source_identity_given: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tag_keys: tuple[str, ...] = ()
    duplicate_tags: bool = False

    @classmethod
    def parse(cls, form: Mapping[str, str]) -> AssumeRoleInput:
        """Read the form of the query protocol."""
        pairs: list[tuple[str, str]] = []
        while (key := form.get(f"Tags.member.{len(pairs) + 1}.Key")) is not None:
            pairs.append((key, form.get(f"Tags.member.{len(pairs) + 1}.Value", "")))
        transitive: list[str] = []
        while (name := form.get(f"TransitiveTagKeys.member.{len(transitive) + 1}")) is not None:
            transitive.append(name)
        return cls(
            role_arn=form.get("RoleArn", ""),
            session_name=form.get("RoleSessionName", ""),
            external_id=form.get("ExternalId"),
            duration=form.get("DurationSeconds", "3600"),
            policy=form.get("Policy", ""),
            source_identity=form.get("SourceIdentity", ""),
            source_identity_given="SourceIdentity" in form,
            tags=dict(pairs),
            transitive_tag_keys=tuple(transitive),
            duplicate_tags=len({key.lower() for key, _ in pairs}) < len(pairs),
        )

    @property
    def duration_seconds(self) -> int:
        """The session's length asked for; an hour when it is not a number, which :meth:`validate` refuses."""
        return int(self.duration) if self.duration.lstrip("-").isdigit() else 3600

    def validate(self) -> None:
        """Check every constraint; all that fail are told at once, as STS does.

        :raises Refusal: one of them does.
        """
        problems = [
            *_length_and_pattern("roleSessionName", self.session_name, 2, 64, _NAME),
            *(
                _length_and_pattern("externalId", self.external_id, 2, 1224, _EXTERNAL_ID)
                if self.external_id is not None
                else []
            ),
            *(
                _length_and_pattern("sourceIdentity", self.source_identity, 2, 64, _NAME)
                if self.source_identity_given
                else []
            ),
            *self._duration_problems(),
            *self._tag_problems(),
        ]
        if not 20 <= len(self.role_arn) <= 2048:
            side = "greater than or equal to 20" if len(self.role_arn) < 20 else "less than or equal to 2048"
            problems.insert(0, _problem("roleArn", self.role_arn, f"Member must have length {side}"))
        if problems:
            count = f"{len(problems)} validation error{'s' if len(problems) > 1 else ''} detected: "
            raise Refusal(400, "ValidationError", count + "; ".join(problems))
        if not _ROLE_ARN.fullmatch(self.role_arn):
            raise Refusal(400, "ValidationError", f"{self.role_arn} is invalid")
        if self.source_identity.startswith("aws:"):
            text = "Source Identity cannot begin with the reserved prefix 'aws:'."
            raise Refusal(400, "ValidationError", text)
        self._check_tags()

    def _duration_problems(self) -> list[str]:
        if not self.duration.lstrip("-").isdigit():
            raise Refusal(400, "MalformedInput", "")
        seconds = int(self.duration)
        if seconds < 900:
            return [_problem("durationSeconds", self.duration, "Member must have value greater than or equal to 900")]
        if seconds > 43200:
            return [_problem("durationSeconds", self.duration, "Member must have value less than or equal to 43200")]
        return []

    def _tag_problems(self) -> list[str]:
        problems = []
        if len(self.tags) > 50:
            problems.append(_problem("tags", "[...]", "Member must have length less than or equal to 50"))
        if len(self.transitive_tag_keys) > 50:
            problems.append(_problem("transitiveTagKeys", "[...]", "Member must have length less than or equal to 50"))
        for number, (key, value) in enumerate(self.tags.items(), 1):
            if not 1 <= len(key) <= 128:
                problems.append(
                    _problem(f"tags.{number}.member.key", key, "Member must have length less than or equal to 128")
                )
            if len(value) > 256:
                problems.append(
                    _problem(f"tags.{number}.member.value", value, "Member must have length less than or equal to 256")
                )
        return problems

    def _check_tags(self) -> None:
        if self.duplicate_tags:
            text = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
            raise Refusal(400, "InvalidParameterValue", text)
        missing = {k.lower() for k in self.transitive_tag_keys} - {k.lower() for k in self.tags}
        if missing:
            text = "The specified transitive tag key must be included in the requested tags."
            raise Refusal(400, "InvalidParameterValue", text)


def _problem(name: str, value: str, constraint: str) -> str:
    return f"Value '{value}' at '{name}' failed to satisfy constraint: {constraint}"


def _length_and_pattern(name: str, value: str, shortest: int, longest: int, pattern: str) -> list[str]:
    problems = []
    if len(value) < shortest:
        problems.append(_problem(name, value, f"Member must have length greater than or equal to {shortest}"))
    if len(value) > longest:
        problems.append(_problem(name, value, f"Member must have length less than or equal to {longest}"))
    if not re.fullmatch(pattern, value, re.ASCII):
        problems.append(_problem(name, value, f"Member must satisfy regular expression pattern: {pattern}"))
    return problems
