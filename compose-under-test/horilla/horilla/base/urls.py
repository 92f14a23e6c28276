"""Addresses of companies, generated avatars and the health check."""

from django.urls import path

from base import views
from base.avatar import avatar
from base.health import health

urlpatterns = [
    path("health/", health, name="health"),
    path("favicon.ico", views.favicon),
    path("avatar/<str:initials>.svg", avatar, name="avatar"),
    path("companies/", views.companies, name="companies"),
    path("companies/delete/", views.delete_by_icon, name="delete-by-icon"),
    path("companies/<int:pk>/", views.company, name="company"),
    path("companies/<int:pk>/icon/", views.replace_icon, name="replace-icon"),
    path("companies/<int:pk>/delete/", views.delete_company, name="delete-company"),
]
