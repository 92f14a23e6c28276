"""The first tables."""

import django.db.models.deletion
from django.db import migrations, models

import uploads.validation


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Employee",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("first_name", models.CharField(max_length=100)),
                ("last_name", models.CharField(max_length=100)),
                (
                    "avatar",
                    models.FileField(
                        blank=True,
                        max_length=255,
                        upload_to="employee/avatars/",
                        validators=[uploads.validation.validate_image],
                    ),
                ),
                ("avatar_sha256", models.CharField(blank=True, editable=False, max_length=64)),
                ("avatar_size", models.BigIntegerField(editable=False, null=True)),
            ],
            options={
                "ordering": ["last_name", "first_name", "pk"],
            },
        ),
        migrations.CreateModel(
            name="Document",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "file",
                    models.FileField(
                        max_length=255,
                        upload_to="employee/documents/",
                        validators=[uploads.validation.validate_document],
                    ),
                ),
                ("file_sha256", models.CharField(editable=False, max_length=64)),
                ("file_size", models.BigIntegerField(editable=False)),
                ("uploaded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "employee",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="documents",
                        to="employee.employee",
                    ),
                ),
            ],
            options={
                "ordering": ["-uploaded_at", "-pk"],
            },
        ),
    ]
