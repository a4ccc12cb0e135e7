"""The file of an announcement."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial")]
    operations = [
        migrations.AddField(
            model_name="announcement",
            name="attachment",
            field=models.FileField(upload_to="announcements", blank=True),
        )
    ]
