"""Sends one signed request and prints the answer. Standard library alone.

CLIENT_ID=bot-1 CLIENT_SECRET=... python3 client.py METHOD URL [BODY]
"""

import base64
import hashlib
import hmac
import os
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def signed_headers(client_id, secret, method, url, body=b"", now=None, nonce=None):
    """The headers that sign a request (docs/signed-requests.md). A nonce is for one request."""
    parts = urllib.parse.urlsplit(url)
    timestamp = str(int(time.time() if now is None else now))
    nonce = secrets.token_urlsafe(16) if nonce is None else nonce
    text = "\n".join(
        [
            "PORTCULLIS-HMAC-SHA256",
            client_id,
            timestamp,
            nonce,
            method,
            parts.hostname,
            parts.path or "/",
            "?" + parts.query if parts.query else "",
            hashlib.sha256(body).hexdigest(),
        ]
    )
    key = base64.b64decode(secret)
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return {"X-Client-Id": client_id, "X-Timestamp": timestamp, "X-Nonce": nonce, "X-Signature": signature}


def main():
    method, url = sys.argv[1], sys.argv[2]
    body = sys.argv[3].encode() if len(sys.argv) > 3 else b""
    headers = signed_headers(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], method, url, body)
    if body:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=body or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            print(answer.status, answer.read().decode())
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())


if __name__ == "__main__":
    main()
