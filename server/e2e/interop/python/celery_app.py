"""The example's task in a Celery app, and who asks for it: celery_app.py many|refused|begin|end|read."""

import os
import sys
import tempfile

from celery import Celery
from celery.result import AsyncResult

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../../docs/examples"))
import antchat_client

app = Celery("jobs", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
notify = antchat_client.make_task(app)


def main(what):
    begun = os.path.join(tempfile.gettempdir(), "antchat-celery-" + os.environ["BROKER"].rsplit(":", 1)[1].replace("/", "-"))
    if what == "many":
        results = [notify.delay("jobs", f"n{i}") for i in range(100)]
        assert sorted(r.get(timeout=60) for r in results) == list(range(1, 101))
        print("1 to 100")
    elif what == "refused":
        try:
            notify.delay("jobs", "").get(timeout=60)
        except antchat_client.Refused as refused:
            print("Refused", refused.code)
    elif what == "begin":
        with open(begun, "w") as file:
            file.write(notify.delay("jobs", "later").id)
        print("begun")
    elif what == "end":
        with open(begun) as file:
            print(AsyncResult(file.read(), app=app).get(timeout=60))
        os.remove(begun)
    elif what == "read":
        seqs = [m["seq"] for m in antchat_client.Antchat(os.environ["CHAT_URL"], os.environ["CHAT_KEY"]).history("jobs")]
        print(len(set(seqs)), "of", len(seqs))


if __name__ == "__main__":
    main(sys.argv[1])
