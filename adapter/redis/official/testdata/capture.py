"""Captures what one version of python-socketio publishes:

    python capture.py REDIS_URL [VERSION] > part.json

With a version, as part of the vectors in python.json. Without, what it
publishes is for somebody who listens: a short list of operations whose effect
the interoperability script checks.
"""
import json
import sys

import redis
import socketio

url = sys.argv[1]
version = sys.argv[2] if len(sys.argv) > 2 else None
manager = socketio.RedisManager(url, write_only=True)

steps = [
    ("emit", lambda: manager.emit("hi", {"a": 1}, room="lobby")),
    ("emit, text", lambda: manager.emit("hi", "텍스트 😀", room="lobby")),
    ("emit, all", lambda: manager.emit("hi", {"a": 1})),
    ("emit, nothing", lambda: manager.emit("hi", None, room="lobby")),
    ("emit, several arguments", lambda: manager.emit("hi", ("a", 2, None), room="lobby")),
    ("emit, a list", lambda: manager.emit("hi", ["a", 2], room="lobby")),
    ("emit, two rooms", lambda: manager.emit("hi", 1, room=["lobby", "den"])),
    ("emit, namespace", lambda: manager.emit("hi", 1, namespace="/chat", room="lobby")),
    ("emit, without one", lambda: manager.emit("hi", 1, room="lobby", skip_sid="A" * 20)),
    ("emit, without two", lambda: manager.emit("hi", 1, room="lobby", skip_sid=["A" * 20, "B" * 20])),
    ("emit, binary", lambda: manager.emit("b", b"\x01\x02\x03", room="lobby")),
    ("emit, binary inside", lambda: manager.emit("b", {"x": b"\x01", "y": [b"\x02"]}, room="lobby")),
    ("emit, binary in several", lambda: manager.emit("b", ("n", b"\x01"), room="lobby")),
    ("new message", lambda: manager.emit("new message", "hello", room="lobby")),
    ("new message, object", lambda: manager.emit("new message", {"text": "hello"}, room="lobby")),
    ("enter", lambda: manager.enter_room("A" * 20, "/", "den")),
    ("leave", lambda: manager.leave_room("A" * 20, "/", "den")),
    ("close", lambda: manager.close_room("den", "/")),
    ("disconnect", lambda: manager.disconnect("A" * 20, "/")),
    ("end", lambda: manager.emit("end", 1, room="lobby")),
]

out = []
if version:
    sub = redis.Redis.from_url(url).pubsub()
    sub.subscribe("socketio")
    sub.get_message(timeout=2)
for name, publish in steps:
    try:
        publish()
    except Exception as e:  # binary in the versions that cannot
        print(f"{name}: {type(e).__name__}: {e}", file=sys.stderr)
        continue
    if version:
        m = sub.get_message(timeout=1)
        while m and m["type"] != "message":
            m = sub.get_message(timeout=1)
        if m is None:
            print(f"{name}: nothing published", file=sys.stderr)
            continue
        out.append({"group": version, "name": name, "channel": m["channel"].decode(), "hex": m["data"].hex()})
if version:
    json.dump(out, sys.stdout, indent=1)
