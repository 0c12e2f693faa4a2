"""Three ledgers that know nothing of one another: what clients were told, the database, and what providers took."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from django.db.models import Count, F

from accounts.models import Event
from companion.models import Message
from safety import clock, outbox
from safety.models import CaseSignal, CrisisCase, Delivery
from tests.chaos.clients import Sent
from tests.chaos.house import House

State, Channel = Delivery.State, Delivery.Channel
UNFINISHED = (State.PENDING, State.LEASED)
DONE = (State.ACCEPTED, State.CONFIRMED)


@dataclass
class Books:
    """All of it in numbers. Those up to `unknown` have to be 0."""

    unsent: int  # messages of which no client was ever told that they are sent
    lost_messages: int  # "sent", and not in the database
    lost_signals: int  # "sent", and in no case
    double_messages: int  # more than one row for one client id
    double_cases: int  # people with more than one
    no_due_time: int  # open cases that nobody will look at again
    unfinished: int  # deliveries that are still on their way
    given_up: int  # deliveries that failed or were set aside
    wrong_notices: int  # pages that were told never, or more than once
    lost_notices: int  # deliveries that count as handed over, and no provider ever saw
    unknown: int  # Message-IDs or keys that no delivery has
    copies: int  # of mails and text messages, beyond the first one of each
    cases: int
    in_app: int
    mails: int
    texts: int

    @classmethod
    def close(cls, house: House, sent: Iterable[Sent]) -> "Books":
        sent = list(sent)
        told = {one.message for one in sent if one.message}
        ids = [one.client_id for one in sent]
        rows = Counter(Message.objects.filter(client_id__in=ids).values_list("client_id", flat=True))
        stored = {
            str(pk) for pk in Message.objects.filter(public_id__in=told).values_list("public_id", flat=True)
        }
        signals = {
            str(pk) for pk in CaseSignal.objects.filter(message__in=told).values_list("message", flat=True)
        }
        outside = list(Delivery.objects.exclude(channel=Channel.IN_APP).select_related("case", "alert"))
        keys = {outbox.message_key(row): row for row in outside}
        taken = Counter({name.strip("<>"): count for name, count in house.mailbox.ids.items()})
        taken.update(text["key"] for text in house.telephone.taken)
        done = [key for key, row in keys.items() if row.state in DONE]
        shown = Counter(
            (user, data.get("case"), data.get("level"))
            for user, data in Event.objects.filter(kind="alert.raised").values_list("user_id", "data")
        )
        wanted = Counter(
            (row.recipient.partition(":")[2], row.case_id, row.level)
            for row in Delivery.objects.filter(channel=Channel.IN_APP, alert=None)
        )
        shown = Counter({(str(user), case, level): n for (user, case, level), n in shown.items()})
        people = CrisisCase.objects.values("user").annotate(n=Count("pk")).filter(n__gt=1)
        return cls(
            unsent=sum(not one.message for one in sent),
            lost_messages=len(told - stored),
            lost_signals=len(told - signals),
            double_messages=sum(count - 1 for count in rows.values()),
            double_cases=people.count(),
            no_due_time=CrisisCase.objects.exclude(state="closed").filter(next_due_at=None).count(),
            unfinished=Delivery.objects.filter(state__in=UNFINISHED).count(),
            given_up=Delivery.objects.filter(state__in=(State.FAILED, State.QUARANTINED)).count(),
            wrong_notices=sum((shown - wanted).values()) + sum((wanted - shown).values()),
            lost_notices=sum(key not in taken for key in done),
            unknown=sum(key not in keys for key in taken),
            copies=sum(count - 1 for count in taken.values()),
            cases=CrisisCase.objects.count(),
            in_app=sum(shown.values()),
            mails=sum(house.mailbox.ids.values()),
            texts=len(house.telephone.taken),
        )

    @property
    def faults(self) -> dict[str, int]:
        """What must not be, when there is any of it."""
        names = [field.name for field in fields(self)]
        return {name: getattr(self, name) for name in names[: names.index("copies")] if getattr(self, name)}

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


def settled(people: int) -> bool:
    """Every case has told its people: all rungs of the quick ladder were climbed, and nothing is on its way."""
    climbed = CrisisCase.objects.filter(rung__gte=2, contact_due_at=None).count()
    return climbed >= people and not Delivery.objects.filter(state__in=UNFINISHED).exists()


def standing() -> str:
    """Where everything stands, for a test that waited in vain."""
    cases = Counter(CrisisCase.objects.values_list("state", "rung"))
    rows = Counter(Delivery.objects.values_list("channel", "state", "error"))
    return f"{dict(cases)} {dict(rows)}"


def overdue() -> int:
    """Cases that should have been looked at by now."""
    return CrisisCase.objects.exclude(state="closed").filter(next_due_at__lt=clock.now()).count()


def late(lease: float) -> list[float]:
    """Seconds by which deliveries came after they were due, the lease of a dead dispatcher not counted."""
    rows = Delivery.objects.filter(accepted_at__isnull=False).annotate(
        took=F("accepted_at") - F("created_at")
    )
    return sorted(max(0.0, took.total_seconds() - lease) for took in rows.values_list("took", flat=True))
