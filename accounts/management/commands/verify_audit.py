"""`manage.py verify_audit`: is the audit log what was written? Exit status 1 when it is not; for nightly runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import audit_chain
from accounts.models import AuditLink

MEANINGS: Final = {
    "edited": "its entry or its hash was changed",
    "deleted": "its entry is gone",
    "link_missing": "the link itself is gone",
    "chain_broken": "it does not follow the link before it",
    "not_sealed": "the entry has no link",
    "cut": "the chain once was longer: its end is gone",
    "rewritten": "another hash was written down when the chain ended here",
    "heads": "the file of heads contradicts itself",
}


class Command(BaseCommand):
    help = "Checks the chain of the audit log, and against the heads that were kept elsewhere. Names the first bad row."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--heads", metavar="FILE", default=settings.AUDIT_HEADS_FILE, help="default: AUDIT_HEADS_FILE"
        )

    def handle(self, *args: Any, heads: str, **options: Any) -> None:
        try:
            fault = audit_chain.verify(audit_chain.read_heads(Path(heads)) if heads else ())
        except (OSError, ValueError) as error:
            raise CommandError(f"The file of heads cannot be read ({type(error).__name__}).") from None
        if fault is not None:
            entry = f", entry {fault.entry}" if fault.entry else ""
            raise CommandError(f"link {fault.link or '–'}{entry}: {fault.code}: {MEANINGS[fault.code]}.")
        kept = "with" if heads else "WITHOUT"
        self.stdout.write(f"{AuditLink.objects.count()} links, all in order, {kept} heads from elsewhere.")
