"""Values at rest, under keys that Portcullis rotates: the Secret at-rest-fernet, mounted as the directory of KEYS."""

import os
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

KEYS = Path(os.environ.get("FERNET_KEYS", "/var/run/at-rest/keys"))


def fernet() -> MultiFernet:
    """The keys as they are now: the first encrypts, each decrypts. Read at every use, because rotation changes the file."""
    return MultiFernet([Fernet(key) for key in KEYS.read_text().split()])


def seal(value: str) -> str:
    return fernet().encrypt(value.encode()).decode()


def unseal(stored: str) -> str:
    return fernet().decrypt(stored.encode()).decode()


def renew(stored: str) -> str:
    """The same value under the key that encrypts now."""
    return fernet().rotate(stored.encode()).decode()
