"""The rows of a query, streamed from any database that an Airflow connection leads to."""
