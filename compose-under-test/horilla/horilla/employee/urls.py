"""Addresses of employees and documents."""

from django.urls import path

from employee import views

urlpatterns = [
    path("employees/", views.employees, name="employees"),
    path("employees/<int:pk>/", views.employee, name="employee"),
    path("employees/<int:pk>/documents/", views.add_document, name="add-document"),
    path("documents/<int:pk>/", views.document, name="document"),
    path("documents/<int:pk>/delete/", views.delete_document, name="delete-document"),
]
