"""Every call of Segment's Python SDK; prints what the SDK itself thinks became of it."""

import json
import os

import segment.analytics as analytics

failed = []
analytics.write_key = os.environ["SEGMENTS_KEY"]
analytics.host = os.environ["SEGMENTS_HOST"]
analytics.gzip = os.environ.get("SEGMENTS_GZIP") != "no"
analytics.on_error = lambda error, items: failed.append(f"{error}: {len(items)}")

person = os.environ["SEGMENTS_PERSON"]
analytics.identify(person, {"email": f"{person}@mail.example", "plan": "pro"})
analytics.group(person, "company-1", {"name": "Company"})
analytics.page(person, None, "Pricing", {"url": "https://shop.example/pricing?utm_source=python"})
analytics.screen(person, None, "Home")
order = {"order_id": f"Y-{person}", "total": 42.5, "currency": "EUR"}
analytics.track(person, "Order Completed", order)
analytics.track(anonymous_id=f"{person}-device", event="Anonymous")
analytics.alias(f"{person}-before", person)
analytics.flush()
analytics.shutdown()
print(json.dumps({"failed": failed}))
