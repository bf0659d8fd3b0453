"""Tag definitions: what type a tag is of, learned from values or declared."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_pushwoosh.protocol.tags import TagType


class TagDefinitionManager(models.Manager["TagDefinition"]):
    def types_of(self, application: str) -> dict[str, TagType]:
        """The types that somebody declared for the application's tags, by name.

        Learned ones are left out: they are guesses from the values that went by, and a guess refuses nothing.
        """
        declared = self.filter(application=application, source=TagDefinition.Source.DECLARED, type__in=TagType)
        return {name: TagType(kind) for name, kind in declared.values_list("name", "type")}


class TagDefinition(models.Model):
    class Source(models.TextChoices):
        LEARNED = "learned", _("learned")
        DECLARED = "declared", _("declared")

    TYPES = {
        TagType.INTEGER: _("integer"),
        TagType.STRING: _("string"),
        TagType.LIST: _("list"),
        TagType.DATE: _("date"),
        TagType.BOOLEAN: _("boolean"),
        TagType.PRICE: _("price"),
        TagType.VERSION: _("version"),
    }

    application = models.CharField(_("application"), max_length=11)
    name = models.CharField(_("name"), max_length=255)
    type = models.PositiveSmallIntegerField(_("type"), choices=[(kind.value, label) for kind, label in TYPES.items()])
    source = models.CharField(_("source"), max_length=10, choices=Source.choices, default=Source.DECLARED)

    objects = TagDefinitionManager()

    class Meta:
        verbose_name = _("tag definition")
        verbose_name_plural = _("tag definitions")
        ordering = ["application", "name"]
        constraints = [models.UniqueConstraint(fields=["application", "name"], name="pushwoosh_tag_name")]

    def __str__(self) -> str:
        return self.name
