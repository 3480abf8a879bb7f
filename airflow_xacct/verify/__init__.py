"""The receiver's check of a delivery: is everything there that the manifest says, and as it says.

::

    place      bucket and prefix that nothing leaves
    claims     what a manifest says, which may be hostile
    reading    the bucket, as whoever looks may read it
    rows       how many rows the bytes of an object hold
    checks     one object against what is said of it
    run        all of them, what nobody named, and the report

Nothing here knows Airflow or makes a client: whoever calls hands one in.
"""
