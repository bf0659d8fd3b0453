"""What happens to an order. The pushes leave if, and only if, the transaction commits."""

from django.db import transaction

from django_pushwoosh import push
from django_pushwoosh.protocol.messages import Message
from example_project.shop.models import Order


@transaction.atomic
def ship(order: Order) -> None:
    """Mark an order as shipped, and tell all devices of its customer."""
    order.status = Order.Status.SHIPPED
    order.save(update_fields=["status"])
    push.send(
        Message(f"{order.parcel} is on its way", title="Your order", ios_badges="+1", android_priority=1),
        to=push.to(order.customer),
    )
    push.set_tags(tags={"Last Order": order.parcel}, user=order.customer)
