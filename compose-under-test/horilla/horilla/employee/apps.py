"""The application `employee`."""

from django.apps import AppConfig


class EmployeeConfig(AppConfig):
    """Employees and documents."""

    name = "employee"
