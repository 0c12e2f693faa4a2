"""Notifications on a guardian's device: turned on in the panel, sent by the outbox, shown by the worker."""

import json
import uuid
from collections.abc import Callable

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from playwright.sync_api import BrowserContext, expect

from accounts.models import User
from safety import care_notices, outbox
from safety.care_notices import Kind
from safety.models import PushSubscription
from tests.e2e.conftest import PHONE
from tests.e2e.test_push import STUB, _pushing_site, deliver, gateway, shown, site
from tests.live import Site, sign_in
from tests.providers import Gateway, PushBrowser

__all__ = ["_pushing_site", "gateway", "site"]


def test_a_request_rings_on_the_guardians_phone(
    site: Site, minor: User, guardian: User, gateway: Gateway, contexts: Callable[..., BrowserContext]
) -> None:
    browser = PushBrowser(gateway.url + "push/1")
    context = contexts(**PHONE)
    context.grant_permissions(["notifications"], origin=site.url)
    context.add_init_script(STUB.replace("SUBSCRIPTION", json.dumps(browser.subscription)))
    session = {"name": settings.SESSION_COOKIE_NAME, "value": sign_in(guardian), "url": site.url}
    context.add_cookies([session])
    page = context.new_page()
    page.goto(f"{site.url}{reverse('panel', args=[minor.pk])}")
    bell = page.get_by_role("region", name="Notifications on this device")
    expect(bell).to_contain_text("what is asked of you")
    bell.get_by_role("button", name="Turn on notifications on this device").click()
    expect(bell.get_by_role("button", name="Turn off")).to_be_visible()
    assert PushSubscription.objects.get().user == guardian

    request = uuid.uuid4()
    whom = care_notices.guardian_recipients(minor)
    care_notices.tell(Kind.TIME_REQUEST, minor, f"request:{request}", whom, timezone.now(), minutes=30)
    outbox.dispatch("a", timezone.now())
    ((_, body),) = gateway.taken
    notice = browser.read(body)
    assert notice["url"] == reverse("time_request", args=[request])
    deliver(page, site, json.dumps(notice))
    assert "30" in shown(page, notice["tag"])["body"]
