"""Post into Antchat from Python, with the standard library alone.

    CHAT_URL=http://127.0.0.1:3000 CHAT_KEY=antchat_... \
        python3 antchat_client.py ROOM MESSAGE [IDEMPOTENCY_KEY]

In a Celery worker the task's own id makes every retry safe; see `make_task`. (No
variable here begins with ANTCHAT_: those are settings of the server, which does not
start with one that it does not know.)
"""

import http.client
import json
import os
import random
import sys
import urllib.error
import urllib.parse
import urllib.request


class Refused(Exception):
    """A problem document. `retry_after` is in seconds, None when a repetition is of no use."""

    def __init__(self, problem, retry_after=None):
        super().__init__(problem, retry_after)  # what pickle, and so Celery, makes it of again
        self.code = problem["code"]
        self.problem = problem
        self.retry_after = retry_after

    def __str__(self):
        return f"{self.code}: {self.problem['detail']}"


class Antchat:
    def __init__(self, url, key, timeout=30):
        self.base, self.key, self.timeout = url.rstrip("/") + "/api/v1", key, timeout

    def request(self, method, path, body=None, idempotency_key=None):
        headers = {"Authorization": "Bearer " + self.key}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                return json.load(response) if response.status != 204 else None
        except urllib.error.HTTPError as error:
            if not error.headers.get("Content-Type", "").startswith("application/problem+json"):
                raise  # of something in between, such as a proxy
            after = error.headers.get("Retry-After")
            raise Refused(json.load(error), None if after is None else int(after)) from None

    def post(self, room, message, idempotency_key, username=None):
        """Store a message. The same key again stores nothing new."""
        body = {"message": message} | ({"username": username} if username else {})
        return self.request("POST", f"/rooms/{urllib.parse.quote(room, safe='')}/messages", body, idempotency_key)

    def history(self, room):
        """Every message that the room still has, the oldest first."""
        path = f"/rooms/{urllib.parse.quote(room, safe='')}/messages"
        after, epoch = 0, ""
        while True:
            page = self.request("GET", f"{path}?{urllib.parse.urlencode({'after': after, 'epoch': epoch})}")
            yield from page["messages"]
            if not page["more"] or not page["last"]:
                return
            after, epoch = page["last"], page["epoch"]


def make_task(app):
    """The task for a Celery app: `notify = make_task(app)`, then `notify.delay(room, message)`.

    It is tried for some five minutes, which is within dedupe.window (10 minutes).
    """

    # A task whose process dies is run again, under the same id.
    @app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=10)
    def notify(self, room, message):
        chat = Antchat(os.environ["CHAT_URL"], os.environ["CHAT_KEY"])
        try:
            return chat.post(room, message, idempotency_key=self.request.id)["seq"]
        except Refused as refused:
            if refused.retry_after is None:
                raise
            raise self.retry(exc=refused, countdown=refused.retry_after + random.random())
        except (OSError, http.client.HTTPException) as lost:  # no whole answer: the message may be stored, and is not stored twice
            raise self.retry(exc=lost, countdown=min(60, 2**self.request.retries) * random.uniform(0.5, 1))

    return notify


if __name__ == "__main__":
    if len(sys.argv) < 3 or not {"CHAT_URL", "CHAT_KEY"} <= os.environ.keys():
        sys.exit(__doc__)
    client = Antchat(os.environ["CHAT_URL"], os.environ["CHAT_KEY"])
    try:
        print(json.dumps(client.post(sys.argv[1], sys.argv[2], idempotency_key=sys.argv[3] if len(sys.argv) > 3 else None)))
    except (Refused, OSError) as problem:
        sys.exit(f"{client.base}: {problem}")
