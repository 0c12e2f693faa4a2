"""Every address of the site. Names are stable; templates and tests use only them."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

from accounts import views as account_views
from companion.views import chat, export, health, notices_page, pages, simple, status, use
from companion.views import personas as persona_views
from safety.views import contact, push

urlpatterns = [
    path("", pages.home, name="home"),
    path("about/", pages.about, name="about"),
    path("about/labels/", pages.labels, name="labels"),
    path("about/model/", pages.model_info, name="model_info"),
    path("terms/", pages.terms, name="terms"),
    path("privacy/", pages.privacy, name="privacy"),
    path("help/", pages.help_page, name="help"),
    path("simple/", simple.page, name="simple"),
    path("simple/switch/", simple.switch, name="simple_switch"),
    path("family/", simple.family, name="family"),
    path("health/", health.health, name="health"),
    path("status/", status.status, name="status"),
    path("notices/", notices_page.inbox, name="service_notices"),
    path("notices/<uuid:public_id>/dismiss/", notices_page.dismiss, name="service_notice_dismiss"),
    path("export/", export.page, name="export"),
    path("companions/", persona_views.gallery, name="gallery"),
    path("companions/new/", persona_views.create, name="persona_create"),
    path("companions/mine/", persona_views.mine, name="my_personas"),
    path("companions/<slug:slug>/", persona_views.detail, name="persona"),
    path("companions/<slug:slug>/edit/", persona_views.edit, name="persona_edit"),
    path("companions/<slug:slug>/submit/", persona_views.submit, name="persona_submit"),
    path("companions/<slug:slug>/delete/", persona_views.delete, name="persona_delete"),
    path("companions/<slug:slug>/talk/", chat.talk, name="talk"),
    path("chats/", chat.chats, name="chats"),
    path("chats/<uuid:public_id>/", chat.chat, name="chat"),
    path("chats/<uuid:public_id>/older/", chat.older, name="chat_older"),
    path("chats/<uuid:public_id>/leave/", chat.leave, name="chat_leave"),
    path("chats/<uuid:public_id>/memories/", chat.memories, name="memories"),
    path("use/", use.use, name="use"),
    path("use/limits/", use.set_limits, name="use_limits"),
    path("use/pause/", use.cool_down, name="use_pause"),
    path("notice/acknowledge/", chat.acknowledge, name="notice_acknowledge"),
    path("alerts/<str:token>/", contact.contact, name="alert_contact"),
    path("emergency-contact/<str:token>/", contact.agreement, name="contact_agreement"),
    path("sw.js", push.service_worker, name="service_worker"),
    path("push/", include("safety.views.push_urls")),
    path("", include("safety.views.moderation_urls")),
    path("guardians/", include("guardians.urls")),
    path("", include("guardians.views.shop_urls")),
    path("accounts/", include("accounts.urls")),
    path("display/", pages.set_display, name="set_display"),
    path("i18n/setlang/", account_views.set_language, name="set_language"),
    path("admin/readings/", include("safety.views.readings_urls")),
    path("admin/crisis/", include("safety.views.console_urls")),
    path("admin/", admin.site.urls),
]
# Receipts of the mail provider, signed with that secret.
if any("WEBHOOK" in name for name in settings.ANYMAIL):
    urlpatterns.append(path("anymail/", include("anymail.urls")))
