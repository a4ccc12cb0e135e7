import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]
    operations = [
        migrations.CreateModel(
            name="Member",
            fields=[
                ("key", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("email", models.EmailField(max_length=254, unique=True)),
                ("password", models.CharField(max_length=128)),
                ("last_login", models.DateTimeField(blank=True, null=True)),
                ("is_superuser", models.BooleanField(default=False)),
                ("is_active", models.BooleanField(db_column="enabled", default=True)),
                ("is_staff", models.BooleanField(db_column="team", default=False)),
                ("deleted", models.BooleanField(default=False)),
                ("left_at", models.DateTimeField(null=True)),
                ("branch", models.BigIntegerField(default=9_000_000_000)),
                ("kind", models.CharField(default="member", max_length=20)),
                ("groups", models.ManyToManyField(blank=True, to="auth.group")),
                ("user_permissions", models.ManyToManyField(blank=True, to="auth.permission")),
            ],
            options={"db_table": "people"},
        )
    ]
