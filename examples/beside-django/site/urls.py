"""The pages of the Django site: its user, log-in and log-out, the admin."""

from django.contrib import admin
from django.shortcuts import render
from django.urls import include, path

import log_out  # noqa: F401, connects the signal receiver


def index(request):
    return render(request, "index.html")


urlpatterns = [
    path("", index),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
]
