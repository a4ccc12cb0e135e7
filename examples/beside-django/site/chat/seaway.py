"""The view that Seaway asks who a client is, with `--user-view /seaway/user/`."""

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache


@never_cache
def user(request):
    """Says who the owner of the session cookie is, and nothing about anybody else."""
    # A copy that is stored nowhere: to ask neither renews the session nor changes its key.
    asked = HttpRequest()
    asked.session = SessionStore()
    for key in (SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY):
        if key in request.session:
            asked.session[key] = request.session[key]
    del request.session
    user = get_user(asked)
    if not user.is_authenticated:
        return JsonResponse({"user": None})
    known = {"id": str(user.pk), "name": user.get_username()}
    for right in ("is_active", "is_staff", "is_superuser"):
        known[right] = bool(getattr(user, right, False))
    if "permissions" in request.GET and hasattr(user, "get_all_permissions"):
        known["permissions"] = sorted(user.get_all_permissions())
    if "groups" in request.GET and hasattr(user, "groups"):
        known["groups"] = [group.name for group in user.groups.all()]
    return JsonResponse({"user": known})
