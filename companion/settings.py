"""One typed, environment-driven settings file. docs/deployment.md lists every variable."""

import base64
import contextlib
import os
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent

# "production" is the default on purpose: whoever forgets the variable gets the strict behaviour.
ENVIRONMENT: str = env.str("ANBAN_ENV", "production")
if ENVIRONMENT not in {"development", "test", "production"}:
    raise ImproperlyConfigured("ANBAN_ENV is development, test or production.")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", False) and not PRODUCTION
VAR_DIR = Path(env.str("ANBAN_VAR_DIR", str(BASE_DIR / "var")))


def _development_secret(name: str, secret: str) -> str:
    """A secret made on the first run and kept in VAR_DIR, so that the next start can read the data of this one."""
    path = VAR_DIR / "keys" / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secret)
    # Several processes start at once: the first link wins, and everybody reads a complete file.
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    return path.read_text()


SECRET_KEY: str = env.str("SECRET_KEY", "")
if not SECRET_KEY and PRODUCTION:
    raise ImproperlyConfigured("Set SECRET_KEY to a long random string.")
SECRET_KEY = SECRET_KEY or _development_secret("secret-key", secrets.token_urlsafe(48))

# Key-encryption keys, newest first: "id:base64(32 bytes)", comma separated, or a file with one per line.
KEY_ENCRYPTION_KEYS: str = env.str("ANBAN_KEKS", "")
KEY_ENCRYPTION_KEY_FILE: str = env.str("ANBAN_KEK_FILE", "")
if not (KEY_ENCRYPTION_KEYS or KEY_ENCRYPTION_KEY_FILE or PRODUCTION):
    # The id says what it is, and production refuses that id.
    KEY_ENCRYPTION_KEYS = _development_secret(
        "development.kek", "development:" + base64.b64encode(secrets.token_bytes(32)).decode()
    )

ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS", default=[] if PRODUCTION else ["127.0.0.1", "localhost", "[::1]"]
)


def _origin(url: str) -> str:
    """As browsers write it: in lower case, without the port that goes without saying."""
    origin = url.rstrip("/").lower()
    return origin.removesuffix(":443" if origin.startswith("https:") else ":80")


SITE_URL = _origin(env.str("SITE_URL", "" if PRODUCTION else f"http://127.0.0.1:{env.int('PORT', 8000)}"))
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[SITE_URL] if SITE_URL else [])
# Full origins (scheme, host, port) that may open a websocket. In development the page may be opened by either name.
WEBSOCKET_ORIGINS = [
    _origin(url)
    for url in env.list(
        "WEBSOCKET_ORIGINS",
        default=CSRF_TRUSTED_ORIGINS
        + (
            []
            if PRODUCTION
            else [f"http://{host}:{env.int('PORT', 8000)}" for host in ("localhost", "127.0.0.1")]
        ),
    )
]
# Names this web process in rows that it must close after a crash.
INSTANCE: str = env.str("ANBAN_INSTANCE", f"{socket.gethostname()}:{env.int('PORT', 8000)}")

INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django.forms",
    "channels",
    "csp",
    "guardian",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "anymail",
    "payments",
    "accounts",
    "guardians",
    "safety",
    "companion",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    # Before sessions and accounts: the status page needs neither, and tells when they are down.
    "companion.views.status.StatusFirst",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "accounts.middleware.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
]

ROOT_URLCONF = "companion.urls"
ASGI_APPLICATION = "companion.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "companion.context.page",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"


def _database() -> dict[str, Any]:
    """DATABASE_URL; a unix socket is given as ?host=/dir. One pool per process, switched off in celery (prefork)."""
    config: dict[str, Any] = dict(env.db_url("DATABASE_URL", default="postgresql://anban@127.0.0.1/anban"))
    options: dict[str, Any] = config.setdefault("OPTIONS", {})
    if "host" in options:
        config["HOST"] = options.pop("host")
    in_celery = Path(sys.argv[0]).name == "celery" or "celery" in sys.argv[:2]
    size = env.int("DATABASE_POOL_SIZE", 0 if ENVIRONMENT == "test" else 12)
    if size and not in_celery:
        # While PostgreSQL is away a person is told so within seconds, and the first step after its return finds it.
        options["pool"] = {"min_size": min(2, size), "max_size": size, "timeout": 3, "reconnect_timeout": 3}
    # Statements are few and always the same: planned once per connection. Switch off behind a transaction pooler.
    if env.bool("DATABASE_PREPARE", True):
        options |= {"server_side_binding": True, "prepare_threshold": 3}
    # A process that stops in the middle of a transaction loses it, and its locks, before those who wait for them give up.
    limits = "-c statement_timeout=15000 -c idle_in_transaction_session_timeout=10000"
    options.setdefault("options", f"-c timezone=UTC {limits}")
    config |= {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
    config["TEST"] = {"NAME": f"test_{config.get('NAME') or 'anban'}"}
    return config


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL: str = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")
# The pubsub layer: the default one loses idle sockets with redis-py 8 (channels_redis issue 422).
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "anban"},
    }
}
CACHES = {
    "default": {
        "BACKEND": "accounts.cache.SteadyRedisCache",
        "LOCATION": REDIS_URL,
        # A hung server must not hold a request: every call is bounded.
        "OPTIONS": {"socket_timeout": 0.3, "socket_connect_timeout": 0.3},
    }
}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TIMEZONE = "UTC"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {"safety.tasks.*": {"queue": "alerts"}}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "close-interrupted-replies": {"task": "companion.tasks.close_interrupted_replies", "schedule": 30.0},
    "remind-of-breaks": {
        "task": "companion.tasks.remind_of_breaks",
        "schedule": 10.0,
        "options": {"expires": 10.0},
    },
    "assess-what-is-pending": {"task": "companion.tasks.assess_what_is_pending", "schedule": 30.0},
    "escalate-overdue": {"task": "companion.tasks.escalate_overdue", "schedule": 300.0},
    # Late ones are of no use: the next is seconds away, and `manage.py run_alerts` does the same each second.
    "sweep-alerts": {"task": "safety.tasks.sweep_alerts", "schedule": 5.0, "options": {"expires": 5.0}},
    "carry-out-service-notices": {"task": "companion.tasks.carry_out_service_notices", "schedule": 60.0},
    "mail-service-notices": {"task": "companion.tasks.mail_service_notices", "schedule": 60.0},
    "catch-up-with-payments": {"task": "companion.tasks.catch_up_with_payments", "schedule": 60.0},
    "erase-what-waited": {"task": "companion.tasks.erase_what_waited", "schedule": 300.0},
    "lapse-time-requests": {"task": "companion.tasks.lapse_time_requests", "schedule": 300.0},
    "end-guardianships-of-age": {"task": "companion.tasks.end_guardianships_of_age", "schedule": 600.0},
    "judge-dependence": {"task": "companion.tasks.judge_dependence", "schedule": 3600.0},
    "forget-old-events": {"task": "companion.tasks.forget_old_events", "schedule": 3600.0},
    "forget-old-use": {"task": "companion.tasks.forget_old_use", "schedule": 86400.0},
    "forget-ended-logins": {"task": "accounts.tasks.forget_ended_logins", "schedule": 86400.0},
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "allauth.account.auth_backends.AuthenticationBackend",
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
if ENVIRONMENT == "test":
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
GUARDIAN_MONKEY_PATCH_USER = False
ANONYMOUS_USER_NAME = None  # no shared "anonymous" account
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "gallery"
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {"signup": "accounts.forms.SignupForm"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = env.str("ACCOUNT_EMAIL_VERIFICATION", "mandatory" if PRODUCTION else "optional")
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_USER_DISPLAY = "accounts.adapter.display_name"
ACCOUNT_RATE_LIMITS = {"reset_password": "20/m/ip,5/h/key", "signup": "20/m/ip,100/d/ip"}
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXIES", 0)
STAFF_MFA_REQUIRED = env.bool("STAFF_MFA_REQUIRED", PRODUCTION)
USERSESSIONS_TRACK_ACTIVITY = False
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_PASSKEY_SIGNUP_ENABLED = False
MFA_TOTP_ISSUER = "Anban"
MFA_ADAPTER = "accounts.adapter.MFAAdapter"
MFA_FORMS = {"add_webauthn": "accounts.forms.AddKeyForm", "edit_webauthn": "accounts.forms.RenameKeyForm"}
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION

LANGUAGE_CODE = "zh-hans"
LANGUAGES = [("zh-hans", _("Simplified Chinese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
LANGUAGE_COOKIE_NAME = "anban_language"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Shanghai"

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
if not PRODUCTION:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns about a missing one
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "companion.storage.ReleaseStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION

EMAIL_BACKEND = env.str(
    "EMAIL_BACKEND",
    "django.core.mail.backends.smtp.EmailBackend"
    if PRODUCTION
    else "django.core.mail.backends.filebased.EmailBackend",
)
EMAIL_FILE_PATH = VAR_DIR / "mail"
EMAIL_HOST = env.str("EMAIL_HOST", "localhost")
EMAIL_PORT = env.int("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.bool("EMAIL_USE_TLS", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Anban <no-reply@localhost>")
ANYMAIL: dict[str, Any] = env.json(
    "ANYMAIL", default={}
)  # keys of a mail provider, as django-anymail names them

# Everything from our own origin; blob: and data: nowhere. connect-src 'self' covers the same-origin websocket.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "worker-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_NAME = "anban_session"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_NAME = "anban_csrf"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", PRODUCTION)
SECURE_HSTS_SECONDS = 63_072_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^health/$"]
if env.bool("BEHIND_TLS_PROXY", False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 512 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200

# --- the operator, as named on the terms, privacy and compliance pages ---
OPERATOR_NAME: str = env.str("OPERATOR_NAME", "")
OPERATOR_CONTACT: str = env.str("OPERATOR_CONTACT", "")
OPERATOR_FILING: str = env.str("OPERATOR_FILING", "")  # algorithm filing number (final article 26)

# --- where people are served from (guardians/data/jurisdictions.toml), and reminders that come sooner than the law asks --
JURISDICTIONS: list[str] = env.list("JURISDICTIONS", default=["CN"])
BREAK_EVERY_MINUTES: int = env.int("BREAK_EVERY_MINUTES", 120)  # of continuous use; never more than 120
REALITY_EVERY_MINUTES: int = env.int("REALITY_EVERY_MINUTES", 30)  # for minors; never more than 30
# Stricter than guardians/limits.py, e.g. {"16_17": 90}; and further hours of rest, e.g. 21:30-06:30.
MINORS_DAILY_MINUTES: dict[str, int] = env.json("MINORS_DAILY_MINUTES", default={})
MINORS_QUIET_HOURS: list[str] = env.list("MINORS_QUIET_HOURS", default=[])
# As far as a guardian may widen a day, and what guardians together may give on top of one day when it is asked for.
MINORS_GUARDIAN_DAILY_MINUTES: dict[str, int] = env.json("MINORS_GUARDIAN_DAILY_MINUTES", default={})
MINORS_EXTRA_MINUTES: int = env.int("MINORS_EXTRA_MINUTES", 60)

# --- help lines: whose are shown, from which file instead of the built-in one, and when a check is too long ago ---
HELP_LINES_COUNTRIES: list[str] = env.list("HELP_LINES_COUNTRIES", default=["CN"])
HELP_LINES_FILE: str = env.str("HELP_LINES_FILE", "")
HELP_LINES_MAX_AGE_DAYS: int = env.int("HELP_LINES_MAX_AGE_DAYS", 120)

# --- service notices: days between notice and event, e.g. {"persona_retirement": 60}, and days of reading and export
# afterwards; only longer than those of companion/service_models.py ---------------------------------------------
NOTICE_LEAD_DAYS: dict[str, int] = env.json("NOTICE_LEAD_DAYS", default={})
NOTICE_READING_DAYS: int = env.int("NOTICE_READING_DAYS", 30)

# --- reports, complaints and appeals: hours until an answer, e.g. {"ordinary": 72}; only quicker than those of
# safety/moderation.py -------------------------------------------------------------------------------------------
COMPLAINT_DEADLINES: dict[str, int] = env.json("COMPLAINT_DEADLINES", default={})
# Working days until a human has decided about somebody who may be under 18: 1 to 5.
AGE_REVIEW_DAYS: int = env.int("AGE_REVIEW_DAYS", 3)

# --- the wallet: payment providers by name, as django-payments writes them, and what may be paid -----------------------
# Amounts are in the smallest coin. Without a provider there is no shop.
PAYMENT_VARIANTS: dict[str, Any] = env.json(
    "PAYMENT_VARIANTS", default={} if PRODUCTION else {"dummy": ["payments.dummy.DummyProvider", {}]}
)
PAYMENT_MODEL = "guardians.Payment"
PAYMENT_USES_SSL = not SITE_URL.startswith("http:")
PAYMENT_HOST = SITE_URL.rpartition("/")[2] or "localhost"
WALLET_CURRENCY: str = env.str("WALLET_CURRENCY", "CNY")
WALLET_TOP_UPS: list[int] = env.json("WALLET_TOP_UPS", default=[1000, 3000, 5000])
WALLET_PRICE_PER_1000_TOKENS: int = env.int("WALLET_PRICE_PER_1000_TOKENS", 1)
# The most a person may pay in a month, by age band; e.g. {"14_15": 10000}. Nobody can set themselves a higher one.
WALLET_MONTHLY_CAPS: dict[str, int] = {
    "under_14": 20_000,
    "14_15": 20_000,
    "16_17": 40_000,
    "adult": 50_000,
    "elder": 50_000,
} | env.json("WALLET_MONTHLY_CAPS", default={})
REFUND_DAYS: int = env.int("REFUND_DAYS", 7)  # until an answer to a request; never more than 7

# --- alerts: who is told when somebody is in danger, and how --------------------------------------------------
# Times of the ladder in seconds, e.g. {"4": {"contact": 60}}; they may only be quicker than those of safety/ladder.py.
ALERT_LADDER: dict[str, dict[str, int]] = env.json("ALERT_LADDER", default={})
ALERT_ON_CALL: list[str] = env.list("ALERT_ON_CALL", default=[])  # e-mail addresses and telephone numbers
ALERT_EMAIL_2_URL: str = env.str(
    "ALERT_EMAIL_2_URL", ""
)  # a second provider, smtp+tls://user:password@host:port
ALERT_SMS_URL: str = env.str("ALERT_SMS_URL", "")  # webhooks; requests are signed with the secret
ALERT_SMS_SECRET: str = env.str("ALERT_SMS_SECRET", "")
ALERT_VOICE_URL: str = env.str("ALERT_VOICE_URL", "")
ALERT_VOICE_SECRET: str = env.str("ALERT_VOICE_SECRET", "")
ALERT_TIMEOUT: float = env.float("ALERT_TIMEOUT", 10.0)  # seconds that a provider may take
ALERT_LEASE: float = env.float("ALERT_LEASE", 30.0)  # seconds; longer than any provider may take
VAPID_PRIVATE_KEY: str = env.str("VAPID_PRIVATE_KEY", "")  # web push (RFC 8292)
if not VAPID_PRIVATE_KEY and ENVIRONMENT == "development":
    # Any number below the order of P-256; 255 bits are.
    VAPID_PRIVATE_KEY = _development_secret(
        "vapid", base64.urlsafe_b64encode(secrets.randbits(255).to_bytes(32, "big")).decode().rstrip("=")
    )
ALERT_ACCEPT_ONE_CHANNEL: bool = env.bool("ALERT_ACCEPT_ONE_CHANNEL", False)  # instead of safety.E008
OUTSIDE_PING_URL: str = env.str("OUTSIDE_PING_URL", "")  # asked each minute as long as all is well
OUTSIDE_PING_ACCEPT_NONE: bool = env.bool("OUTSIDE_PING_ACCEPT_NONE", False)  # instead of safety.E009
# The canary's mailbox, and where it is read back: imaps://user:password@host/INBOX or file:///folder.
_IN_DEVELOPMENT = ENVIRONMENT == "development"
CANARY_ADDRESS: str = env.str("CANARY_ADDRESS", "canary@anban.invalid" if _IN_DEVELOPMENT else "")
CANARY_IMAP_URL: str = env.str("CANARY_IMAP_URL", EMAIL_FILE_PATH.as_uri() if _IN_DEVELOPMENT else "")
AUDIT_HEADS_FILE: str = env.str(
    "AUDIT_HEADS_FILE", ""
)  # the head of the audit chain is written here each minute

# --- the model ---------------------------------------------------------------------------------------------
LLM_BASE_URL: str = env.str("LLM_BASE_URL", "").rstrip("/")
LLM_API_KEY: str = env.str("LLM_API_KEY", "")
LLM_MODEL: str = env.str("LLM_MODEL", "")
LLM_GGUF_PATH: str = env.str("LLM_GGUF_PATH", "")
LLM_CONNECT_TIMEOUT: float = env.float("LLM_CONNECT_TIMEOUT", 5.0)  # seconds, like the next three
LLM_FIRST_TOKEN_TIMEOUT: float = env.float("LLM_FIRST_TOKEN_TIMEOUT", 30.0)
LLM_IDLE_TIMEOUT: float = env.float("LLM_IDLE_TIMEOUT", 20.0)
LLM_TOTAL_TIMEOUT: float = env.float("LLM_TOTAL_TIMEOUT", 180.0)
LLM_MAX_TOKENS: int = env.int("LLM_MAX_TOKENS", 512)
LLM_CONTEXT_TOKENS: int = env.int("LLM_CONTEXT_TOKENS", 4096)
LLM_TEMPERATURE: float = env.float("LLM_TEMPERATURE", 0.8)
# True when the small embedded demonstration model answers; pages then say so.
ANBAN_DEMO_MODEL: bool = env.bool("ANBAN_DEMO_MODEL", False)
TOKENS_PER_USER_PER_DAY: int = env.int("TOKENS_PER_USER_PER_DAY", 400_000)
TOKENS_PER_DEPLOYMENT_PER_HOUR: int = env.int("TOKENS_PER_DEPLOYMENT_PER_HOUR", 20_000_000)

# --- embeddings for the safety engine: `manage.py embedding_server`, or any server with the same interface --
EMBEDDINGS_BASE_URL: str = env.str("EMBEDDINGS_BASE_URL", "").rstrip("/")
EMBEDDINGS_API_KEY: str = env.str("EMBEDDINGS_API_KEY", "")
# The heads were fitted on this model's vectors and mean nothing on another's (safety.E004).
EMBEDDINGS_MODEL: str = env.str("EMBEDDINGS_MODEL", "anban-safety-1")
EMBEDDINGS_DEADLINE: float = env.float("EMBEDDINGS_DEADLINE", 0.25)  # seconds, for one message or clause

# --- a second opinion on messages: a guard model such as Qwen3Guard; none unless an address is given ---------
JUDGE_BASE_URL: str = env.str("JUDGE_BASE_URL", "").rstrip("/")
JUDGE_API_KEY: str = env.str("JUDGE_API_KEY", "")
JUDGE_MODEL: str = env.str("JUDGE_MODEL", "")
JUDGE_DEADLINE: float = env.float("JUDGE_DEADLINE", 1.0)  # seconds

# --- the socket --------------------------------------------------------------------------------------------
SOCKET_MAX_FRAME_BYTES: int = 64 * 1024
SOCKET_MAX_UNREAD: int = 8 * 1024 * 1024  # characters that wait for a page which does not read
SOCKET_MAX_PER_USER: int = env.int("SOCKET_MAX_PER_USER", 20)
SOCKET_FRAMES_PER_SECOND: float = 10.0  # sustained, per socket
SOCKET_FRAMES_BURST: int = 40
# After this a page is told that something failed: longer than any statement may take, for a database that hangs.
SOCKET_STEP_SECONDS: float = env.float("SOCKET_STEP_SECONDS", 20.0)
MESSAGES_PER_MINUTE: int = env.int("MESSAGES_PER_MINUTE", 30)  # per person, over all sockets
SOCKET_IDLE_CHECK_SECONDS: float = env.float("SOCKET_IDLE_CHECK_SECONDS", 25.0)
MESSAGE_MAX_CHARACTERS: int = 4000

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "aiohttp": {"level": "WARNING"},
    },
}
