"""Where payment providers report: for a payment by its token, or for all of a provider's at one address.

In place of django-payments' own views, which call the provider inside a transaction. Whoever calls is believed only as far
as the provider's code does (signatures, questions back); what it then says is brought into the wallet by our own rules.
"""

import logging
import uuid

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods
from payments import PaymentError
from payments.core import provider_factory

from companion import purchases
from guardians.models import Payment

log = logging.getLogger(__name__)


@csrf_exempt
@require_http_methods(["GET", "POST"])  # some providers lead the payer's browser here
def process(request: HttpRequest, token: uuid.UUID) -> HttpResponse:
    return _report(request, str(token), "")


@csrf_exempt
@require_http_methods(["POST"])
def process_all(request: HttpRequest, variant: str) -> HttpResponse:
    """Reports of a provider that knows one address only; the payment's token is in what it sends."""
    if variant not in settings.PAYMENT_VARIANTS:
        raise Http404
    try:
        token = provider_factory(variant).get_token_from_request(payment=None, request=request)
    except (PaymentError, NotImplementedError) as error:
        log.warning("report of %s refused: %s", variant, type(error).__name__)
        return JsonResponse({"error": "refused"}, status=400)
    if not token:
        return JsonResponse({"error": "no payment"}, status=400)
    return _report(request, str(token), variant)


def _report(request: HttpRequest, token: str, variant: str) -> HttpResponse:
    payment = Payment.objects.filter(token=token).first()
    if payment is None or payment.variant not in settings.PAYMENT_VARIANTS:
        raise Http404
    if variant and payment.variant != variant:  # one provider does not speak for another
        raise Http404
    try:
        response: HttpResponse = provider_factory(payment.variant, payment).process_data(payment, request)
    except PaymentError as error:
        log.warning("report for payment %s refused: %s", payment.pk, type(error).__name__)
        return JsonResponse({"error": "refused"}, status=400)
    purchases.settle(payment.pk)
    return response
