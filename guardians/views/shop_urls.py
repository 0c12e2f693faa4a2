"""The shop, and where payment providers report. Included at the root."""

from django.urls import path

from guardians.views import payments, shop

urlpatterns = [
    path("shop/", shop.shop, name="shop"),
    path("shop/pay/", shop.begin, name="shop_begin"),
    path("shop/pay/<uuid:pk>/", shop.pay, name="shop_pay"),
    path("shop/done/<uuid:pk>/", shop.done, name="shop_done"),
    path("shop/use/", shop.use, name="shop_use"),
    path("shop/limit/", shop.set_cap, name="shop_cap"),
    path("shop/receipts/", shop.receipts, name="shop_receipts"),
    path("shop/receipts/<uuid:pk>/refund/", shop.ask_refund, name="shop_refund"),
    # The names are django-payments': its providers build their addresses by them.
    path("payments/process/<uuid:token>/", payments.process, name="process_payment"),
    path("payments/process/<slug:variant>/", payments.process_all, name="static_process_payment"),
]
