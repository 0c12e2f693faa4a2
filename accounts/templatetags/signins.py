"""Words for the page that lists where somebody is signed in."""

from django import template

from accounts import browsers

register = template.Library()
register.filter("browser_and_system", browsers.describe)
