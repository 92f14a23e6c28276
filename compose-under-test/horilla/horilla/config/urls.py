"""All addresses of the site. Whoever is not logged in sees what a view says with `login_not_required`."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from django.views.generic import RedirectView

from uploads.serving import media

handler500 = "uploads.answers.failure"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="companies")),
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("media/<path:name>", media, name="media"),
    path("", include("base.urls")),
    path("", include("employee.urls")),
]

if settings.EMAIL_HOST:
    # By these names the login page of the admin offers a new password.
    urlpatterns += [
        path("password/reset/", auth.PasswordResetView.as_view(), name="admin_password_reset"),
        path("password/sent/", auth.PasswordResetDoneView.as_view(), name="password_reset_done"),
        path(
            "password/<uidb64>/<token>/",
            auth.PasswordResetConfirmView.as_view(),
            name="password_reset_confirm",
        ),
        path("password/done/", auth.PasswordResetCompleteView.as_view(), name="password_reset_complete"),
    ]
