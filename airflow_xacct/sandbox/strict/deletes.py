"""DeleteObjects: each key is decided for itself, and the answer is 200 all the same (AWS: *DeleteObjects*)."""

from __future__ import annotations

import re
from xml.sax.saxutils import unescape

from airflow_xacct.sandbox.emulator import Emulator
from airflow_xacct.sandbox.strict.answers import S3_NAMESPACE, Refusal, element, xml_document
from airflow_xacct.sandbox.strict.buckets import Bucket, BucketAccess
from airflow_xacct.sandbox.strict.principals import Caller
from airflow_xacct.sandbox.wire import Request, Response

__all__ = ["delete_objects"]

_OBJECT = re.compile(r"<Object>(.*?)</Object>", re.DOTALL)
_KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)
_QUOTES = {"&quot;": '"', "&apos;": "'", "&#13;": "\r", "&#xD;": "\r"}


async def delete_objects(
    emulator: Emulator, access: BucketAccess, request: Request, caller: Caller, bucket: Bucket
) -> Response:
    """Delete the keys the caller may delete, and name the others with their error."""
    text = request.body.decode("utf-8")
    refused = ""
    for found in _OBJECT.findall(text):
        named = _KEY.search(found)
        key = unescape(named[1], _QUOTES) if named else ""
        action = "s3:DeleteObjectVersion" if "<VersionId>" in found else "s3:DeleteObject"
        try:
            access.permit_action(request, caller, bucket, action, f"arn:aws:s3:::{bucket.name}/{key}")
        except Refusal as refusal:
            text = text.replace(f"<Object>{found}</Object>", "")
            error = element("Key", key) + element("Code", refusal.code) + element("Message", refusal.message)
            refused += f"<Error>{error}</Error>"
    if "<Object>" not in text:
        return xml_document(f'<DeleteResult xmlns="{S3_NAMESPACE}">{refused}</DeleteResult>')
    # the digest was of the whole list, and was signed with it
    for name in [n for n in request.headers if n.startswith("x-amz-checksum-") or n == "content-md5"]:
        del request.headers[name]
    request.body = text.encode()
    answer = await emulator.call_s3(bucket.owner, request)
    if answer.status == 200:
        answer.body = answer.body.replace(b"</DeleteResult>", refused.encode() + b"</DeleteResult>")
    return answer
