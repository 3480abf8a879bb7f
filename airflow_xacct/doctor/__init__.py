"""The doctor: why a connection does not work, and whether it is safe.

Plain classes that know no Airflow. :class:`Facts` asks each question once, each :class:`Check` concludes from the
answers, :func:`examine` makes them in order and lets go on what can go on.
"""

from __future__ import annotations

from airflow_xacct.doctor.check import Check
from airflow_xacct.doctor.examination import CHECKS, examine
from airflow_xacct.doctor.facts import Facts
from airflow_xacct.doctor.finding import Finding, Remedy, Report
from airflow_xacct.doctor.owner import OwnerView
from airflow_xacct.doctor.role_facts import Doors, Wishes

__all__ = ["CHECKS", "Check", "Doors", "Facts", "Finding", "OwnerView", "Remedy", "Report", "Wishes", "examine"]
