"""An emergency contact in a real browser, from the mail to a no; and the person who named them."""

import re
from collections.abc import Callable

from django.conf import settings
from django.core import mail
from django.utils import timezone
from playwright.sync_api import BrowserContext, expect

from accounts.models import User
from guardians.models import EmergencyContact
from safety import contact_agreement, outbox
from safety.care_notices import Kind
from safety.models import Delivery
from tests.cast import make_user
from tests.e2e.conftest import PHONE
from tests.e2e.test_access import sound
from tests.live import Site, sign_in


def signed_in(context: BrowserContext, site: Site, user: User) -> BrowserContext:
    session = sign_in(user)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site.url}])
    return context


def test_named_asked_tested_and_refused(site: Site, contexts: Callable[..., BrowserContext]) -> None:
    person = make_user("person", 45)
    own = signed_in(contexts(), site, person).new_page()
    own.goto(f"{site.url}/guardians/contacts/new/")
    own.get_by_label("Name", exact=True).fill("Wu Min")
    own.get_by_label("Who is this to you?").select_option("friend")
    own.get_by_label("Their e-mail address").fill("friend@example.org")
    own.get_by_role("button", name="Save").click()
    expect(own.get_by_text("They have not answered yet")).to_be_visible()
    own.get_by_role("button", name="Send a test notice").click()
    expect(own.get_by_text("on its way", exact=False).first).to_be_visible()
    outbox.dispatch("a", timezone.now())
    own.reload()
    expect(own.get_by_text("handed over to their provider")).to_be_visible()

    asked = next(message for message in mail.outbox if "/emergency-contact/" in str(message.body))
    path = re.findall(r"/emergency-contact/\S+", str(asked.body))[0]
    theirs = contexts(**PHONE).new_page()
    theirs.goto(f"{site.url}{path}")
    expect(theirs.get_by_role("heading", level=1)).to_have_text("Person named you as emergency contact")
    assert EmergencyContact.objects.get().state == EmergencyContact.State.GIVEN
    theirs.get_by_role("button", name="Yes, you may write to me").click()
    expect(theirs.get_by_text("You said yes.")).to_be_visible()
    theirs.get_by_role("button", name="Stop").click()
    expect(theirs.get_by_text("You said no.")).to_be_visible()

    own.goto(f"{site.url}/accounts/next/")
    expect(own.get_by_text("Is there somebody else you trust?")).to_be_visible()
    assert own.url == f"{site.url}/accounts/care/"


def test_the_pages_of_contacts_have_no_serious_faults(
    site: Site, adult: User, contexts: Callable[..., BrowserContext]
) -> None:
    contact = EmergencyContact.objects.get(user=adult)
    assert contact_agreement.write(Kind.CONTACT_ASK, contact, timezone.now()) == ""
    link = contact_agreement.link(Delivery.objects.get()).partition("/emergency-contact/")[2]
    own = signed_in(contexts(bypass_csp=True, **PHONE), site, adult).new_page()
    for path in ("guardians/contacts/", f"guardians/contacts/{contact.pk}/", f"emergency-contact/{link}"):
        own.goto(f"{site.url}/{path}")
        sound(own)
