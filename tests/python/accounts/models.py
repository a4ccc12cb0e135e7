"""Two user models: one with a UUID as primary key, in a table with another name, whose manager
leaves out users; and one with a text as primary key."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


BRANCH = 9_000_000_000


class Members(BaseUserManager):
    def get_queryset(self):
        members = super().get_queryset()
        return members.filter(deleted=False, left_at=None, branch=BRANCH, kind="member")

    def create_user(self, email, password, **fields):
        member = self.model(email=email, **fields)
        member.set_password(password)
        member.save()
        return member


class Member(AbstractBaseUser, PermissionsMixin):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True, db_column="enabled")
    is_staff = models.BooleanField(default=False, db_column="team")
    deleted = models.BooleanField(default=False)
    left_at = models.DateTimeField(null=True)
    branch = models.BigIntegerField(default=BRANCH)
    kind = models.CharField(max_length=20, default="member")

    objects = Members()
    USERNAME_FIELD = "email"

    class Meta:
        db_table = "people"


class Guests(BaseUserManager):
    def create_user(self, address, password, **fields):
        guest = self.model(address=address, **fields)
        guest.set_password(password)
        guest.save()
        return guest


class Guest(AbstractBaseUser):
    address = models.CharField(primary_key=True, max_length=150)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)

    objects = Guests()
    USERNAME_FIELD = "address"

    class Meta:
        db_table = "guests"
