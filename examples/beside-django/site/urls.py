"""The pages of the Django site: the rooms, login and logout, the admin."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path

from chat import seaway, views

urlpatterns = [
    path("", views.index),
    path("rooms/<slug:room>/", views.room, name="room"),
    path("rooms/<slug:room>/announce", views.announce, name="announce"),
    path("seaway/user/", seaway.user),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
