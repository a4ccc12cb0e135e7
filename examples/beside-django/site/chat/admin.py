"""Announcements in the admin: adding one also sends it."""

from django.contrib import admin

from .models import Announcement


@admin.register(Announcement)
class AnnouncementAdmin(admin.ModelAdmin):
    list_display = ("room", "text", "author", "made")

    def save_model(self, request, announcement, form, change):
        super().save_model(request, announcement, form, change)
        announcement.send()
