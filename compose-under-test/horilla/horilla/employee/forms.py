"""Forms of employees and documents."""

from typing import ClassVar

from django import forms

from employee.models import Document, Employee


class EmployeeForm(forms.ModelForm):
    """A new employee."""

    class Meta:
        model = Employee
        fields: ClassVar = ["first_name", "last_name", "avatar"]


class DocumentForm(forms.ModelForm):
    """A document of an employee."""

    class Meta:
        model = Document
        fields: ClassVar = ["file"]
