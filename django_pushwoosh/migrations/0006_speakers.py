from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('django_pushwoosh', '0005_statistics'),
    ]

    operations = [
        migrations.AddField(
            model_name='outboxentry',
            name='is_tokenless',
            field=models.BooleanField(default=False, verbose_name='speaks without our token'),
        ),
    ]
