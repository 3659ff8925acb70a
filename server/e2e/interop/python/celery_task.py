"""The example's task as a worker runs it, with a stand-in for Celery's app: celery_task.py NOBODY'S_URL.

Prints the seq of the message that was stored, and how often it was tried.
"""

import os
import pickle
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../../../docs/examples"))
import antchat_client


class Retry(Exception):
    pass


class Task:
    """What a bound task has of itself."""

    class request:
        id = "task-1"
        retries = 0

    def retry(self, exc, countdown):
        assert 0 <= countdown <= 60, countdown
        self.request.retries += 1
        return Retry()


class App:
    def task(self, **options):
        assert options["bind"] and options["acks_late"] and options["reject_on_worker_lost"]
        return lambda function: function


url, task, notify = os.environ["CHAT_URL"], Task(), antchat_client.make_task(App())
os.environ["CHAT_URL"] = sys.argv[1]  # nobody listens: to be tried again
try:
    notify(task, "jobs", "done")
    sys.exit("was not retried")
except Retry:
    os.environ["CHAT_URL"] = url
first = notify(task, "jobs", "done")
again = notify(task, "jobs", "done")  # a worker that died after the answer
assert first == again, (first, again)
try:
    notify(task, "jobs", "")
    sys.exit("an empty message was taken")
except antchat_client.Refused as refused:
    assert refused.code == "invalid_message" and refused.retry_after is None, refused
    again = pickle.loads(pickle.dumps(refused))  # on its way out of the worker's process
    assert str(again) == str(refused) and again.problem == refused.problem, again
client = antchat_client.Antchat(url, os.environ["CHAT_KEY"])
client.request("POST", "/rooms/jobs/messages", {"messages": [{"message": f"m{i}"} for i in range(70)]})
assert [m["message"] for m in client.history("jobs")] == ["done"] + [f"m{i}" for i in range(70)]
print(first, task.request.retries)
