"""The command line of the Django site: `manage.py migrate`, `manage.py announce lobby hello`."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
execute_from_command_line(sys.argv)
