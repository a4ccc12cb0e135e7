"""The pages: a list of rooms, a room, and the form that announces something in a room."""

from django.contrib.auth.decorators import login_required, permission_required
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from .models import Announcement


def index(request):
    rooms = Announcement.objects.values_list("room", flat=True).distinct()
    return render(request, "index.html", {"rooms": sorted({"lobby", *rooms})})


@login_required
def room(request, room):
    announcements = Announcement.objects.filter(room=room).order_by("-made")[:10]
    return render(request, "room.html", {"room": room, "announcements": announcements})


@require_POST
@permission_required("chat.add_announcement", raise_exception=True)
def announce(request, room):
    text = request.POST["text"]
    Announcement.objects.create(room=room, author=request.user, text=text).send()
    return redirect("room", room)
