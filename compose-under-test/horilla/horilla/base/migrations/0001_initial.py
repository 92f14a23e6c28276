"""The first tables."""

from django.db import migrations, models

import uploads.validation


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Company",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=150)),
                (
                    "icon",
                    models.FileField(
                        blank=True,
                        max_length=255,
                        upload_to="base/company/icon/",
                        validators=[uploads.validation.validate_image],
                    ),
                ),
                ("icon_sha256", models.CharField(blank=True, editable=False, max_length=64)),
                ("icon_size", models.BigIntegerField(editable=False, null=True)),
                ("icon_webp", models.FileField(blank=True, editable=False, max_length=255, upload_to="")),
            ],
            options={
                "verbose_name_plural": "companies",
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("icon", ""), _negated=True),
                        fields=("icon",),
                        name="one_company_an_icon",
                    )
                ],
            },
        ),
    ]
