"""The canary's mailbox: which of these notices have arrived? Over IMAP, or from a folder of files for one machine."""

import datetime as dt
import imaplib
import re
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

_MESSAGE_ID: Final = re.compile(r"^Message-ID:\s*<([^>]+)>", re.IGNORECASE | re.MULTILINE)
_RECENT: Final = dt.timedelta(hours=1)  # older files are not opened
TIMEOUT: Final = 10.0  # seconds, for each step


class MailboxError(Exception):
    """The mailbox cannot be read; says a code, never an address."""


def arrived(url: str, keys: Collection[str]) -> set[str]:
    """Those of the Message-IDs that are in the mailbox; IMAP: they are deleted there. Raises MailboxError.

    `url`: imaps://user:password@host/FOLDER (imap:// without encryption), or file:///folder (also a Maildir).
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "file":
            return _in_folder(Path(unquote(parts.path)), keys)
        with _imap(url) as box:
            return {key for key in keys if _take(box, key)}
    except (OSError, imaplib.IMAP4.error, ValueError) as error:
        raise MailboxError(type(error).__name__) from None


def _in_folder(folder: Path, keys: Collection[str]) -> set[str]:
    if not folder.is_dir():
        raise MailboxError("folder")
    since = dt.datetime.now().timestamp() - _RECENT.total_seconds()
    files = (file for file in folder.rglob("*") if file.is_file() and file.stat().st_mtime > since)
    return {key for file in files for key in _MESSAGE_ID.findall(file.read_text(errors="replace"))} & set(
        keys
    )


@contextmanager
def _imap(url: str) -> Iterator[imaplib.IMAP4]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "imaps":
        # Without a context of its own the library would accept any certificate.
        box: imaplib.IMAP4 = imaplib.IMAP4_SSL(
            host, parts.port or 993, ssl_context=ssl.create_default_context(), timeout=TIMEOUT
        )
    elif parts.scheme == "imap":
        box = imaplib.IMAP4(host, parts.port or 143, timeout=TIMEOUT)
    else:
        raise ValueError("scheme")
    try:
        box.login(unquote(parts.username or ""), unquote(parts.password or ""))
        status, _ = box.select(unquote(parts.path.strip("/")) or "INBOX")
        if status != "OK":
            raise MailboxError("folder")
        yield box
    finally:
        with suppress(OSError, imaplib.IMAP4.error):
            box.logout()


def _take(box: imaplib.IMAP4, key: str) -> bool:
    _, found = box.search(None, "HEADER", "Message-ID", f'"{key}"')
    numbers = found[0].split() if found and found[0] else []
    for number in numbers:
        box.store(number.decode(), "+FLAGS", r"(\Deleted)")
    if numbers:
        box.expunge()
    return bool(numbers)
