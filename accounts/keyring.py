"""Text at rest: AES-256-GCM with one data key per person, wrapped by a key-encryption key (KEK).

A value is `0x01 ‖ 12-byte nonce ‖ ciphertext ‖ 16-byte tag`. The associated data names table, row, column and person, so
a ciphertext moved to another place does not open (NIST SP 800-38D; threat T16). Losing the data key is crypto-erasure.
"""

import base64
import binascii
import os
import threading
import uuid
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from accounts.models import UserKey

_VERSION = b"\x01"
_NONCE_BYTES = 12
_CACHED_KEYS = 10_000  # 32-byte keys: a few MB at most


class KeyringError(Exception):
    """A value did not open: wrong key, wrong place, damaged bytes or an unknown key id."""


@lru_cache(maxsize=1)
def key_encryption_keys() -> "OrderedDict[str, AESGCM]":
    """All KEKs by id, the one for new keys first."""
    raw = settings.KEY_ENCRYPTION_KEYS
    if not raw and settings.KEY_ENCRYPTION_KEY_FILE:
        raw = Path(settings.KEY_ENCRYPTION_KEY_FILE).read_text()
    if not raw:
        raise ImproperlyConfigured(
            "Set ANBAN_KEK_FILE or ANBAN_KEKS: text at rest needs a key-encryption key."
        )
    keys: OrderedDict[str, AESGCM] = OrderedDict()
    for entry in raw.replace(",", "\n").split():
        kek_id, _, encoded = entry.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            key = b""
        if not kek_id or len(kek_id) > 32 or len(key) != 32:
            raise ImproperlyConfigured("Each key-encryption key is written id:base64, with 32 bytes of key.")
        keys[kek_id] = AESGCM(key)
    if settings.PRODUCTION and any(kek_id.startswith("development") for kek_id in keys):
        raise ImproperlyConfigured("The development key-encryption key is refused in production.")
    return keys


_lock = threading.Lock()
_cache: "OrderedDict[uuid.UUID, AESGCM]" = OrderedDict()


def encrypt(user_id: uuid.UUID, place: str, row: uuid.UUID, text: str) -> bytes:
    """Seal `text` for one column value; `place` is "table.column"."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _data_key(user_id).encrypt(nonce, text.encode(), _associated(user_id, place, row))
    return _VERSION + nonce + sealed


def decrypt(user_id: uuid.UUID, place: str, row: uuid.UUID, value: bytes | memoryview) -> str:
    """Open a column value. Raises KeyringError rather than returning anything doubtful."""
    data = bytes(value)
    if data[:1] != _VERSION:
        raise KeyringError("unknown format")
    nonce, sealed = data[1 : 1 + _NONCE_BYTES], data[1 + _NONCE_BYTES :]
    try:
        return _data_key(user_id).decrypt(nonce, sealed, _associated(user_id, place, row)).decode()
    except (InvalidTag, ValueError):
        raise KeyringError("value does not belong here or is damaged") from None


def seal_secret(text: str) -> str:
    """Seal a secret that belongs to no row of ours (a TOTP key in allauth's table) with the newest KEK."""
    kek_id, kek = next(iter(key_encryption_keys().items()))
    nonce = os.urandom(_NONCE_BYTES)
    sealed = base64.b64encode(nonce + kek.encrypt(nonce, text.encode(), b"secret")).decode()
    return f"{kek_id}:{sealed}"


def open_secret(value: str) -> str:
    """Open what seal_secret made, also with an older KEK that is still configured."""
    kek_id, _, sealed = value.partition(":")
    kek = key_encryption_keys().get(kek_id)
    if kek is None:
        raise KeyringError("the key-encryption key of this secret is not configured")
    data = base64.b64decode(sealed)
    try:
        return kek.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], b"secret").decode()
    except (InvalidTag, ValueError):
        raise KeyringError("secret does not open") from None


def forget(user_id: uuid.UUID) -> None:
    """Destroy a person's data key (in this process and in the database)."""
    UserKey.objects.filter(user_id=user_id).delete()
    clear_cache(user_id)


def clear_cache(user_id: uuid.UUID | None = None) -> None:
    with _lock:
        _cache.clear() if user_id is None else _cache.pop(user_id, None)


def rewrap_all() -> int:
    """Wrap every data key with the newest KEK; no text row is touched. Returns the number of keys rewrapped."""
    newest = next(iter(key_encryption_keys()))
    count = 0
    for row in UserKey.objects.exclude(kek_id=newest).iterator(chunk_size=500):
        key = _unwrap(row)
        changed = UserKey.objects.filter(pk=row.pk, kek_id=row.kek_id).update(
            wrapped=_wrap(row.user_id, key, newest), kek_id=newest
        )
        count += changed
    return count


def _associated(user_id: uuid.UUID, place: str, row: uuid.UUID) -> bytes:
    return f"{place}|{row}|{user_id}".encode()


def _data_key(user_id: uuid.UUID) -> AESGCM:
    with _lock:
        cached = _cache.get(user_id)
        if cached is not None:
            _cache.move_to_end(user_id)
            return cached
    row = UserKey.objects.filter(user_id=user_id).first() or _create(user_id)
    key = AESGCM(_unwrap(row))
    # Not before the commit: the transaction that made the key may still fail, and nobody else could open the text.
    transaction.on_commit(lambda: _remember(user_id, key))
    return key


def _remember(user_id: uuid.UUID, key: AESGCM) -> None:
    with _lock:
        _cache[user_id] = key
        if len(_cache) > _CACHED_KEYS:
            _cache.popitem(last=False)


def _create(user_id: uuid.UUID) -> UserKey:
    newest = next(iter(key_encryption_keys()))
    wrapped = _wrap(user_id, AESGCM.generate_key(256), newest)
    # Two processes may race for the first key: the row that got in wins.
    UserKey.objects.bulk_create(
        [UserKey(user_id=user_id, wrapped=wrapped, kek_id=newest)], ignore_conflicts=True
    )
    return UserKey.objects.get(user_id=user_id)


def _wrap(user_id: uuid.UUID, key: bytes, kek_id: str) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + key_encryption_keys()[kek_id].encrypt(nonce, key, f"datakey|{user_id}".encode())


def _unwrap(row: UserKey) -> bytes:
    kek = key_encryption_keys().get(row.kek_id)
    if kek is None:
        raise KeyringError(f"key-encryption key {row.kek_id} is not configured")
    data = bytes(row.wrapped)
    try:
        return kek.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], f"datakey|{row.user_id}".encode())
    except (InvalidTag, ValueError):
        raise KeyringError("data key does not open with its key-encryption key") from None
