"""The demo's URLs, and the page of all statuses."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from demo.urls import urlpatterns as demo_urls
from tools.statuses.states import STATES, key_of


def statuses(request: HttpRequest) -> HttpResponse:
    """Show the status of the signed-in learner's answer to each problem, with the template tag."""
    return render(request, "statuses.html", {"states": [(name, key_of(name)) for name in STATES]})


urlpatterns = [path("statuses/", statuses), *demo_urls]
